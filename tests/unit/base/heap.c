/* base/heap: order, removal, change of key; checked against a sorted copy. */
#include "base/heap.h"
#include "base/list.h"
#include "unit/unit.h"

#define N 500

struct item {
	struct heap_node node;
	uint64_t key;
	bool gone;
};

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return *state >> 33;
}

static void test_order(void **state)
{
	static struct item items[N];
	struct heap h;
	uint64_t seed = 1, last = 0;
	unsigned left = 0;

	(void)state;
	heap_init(&h);
	for (int i = 0; i < N; i++) {
		items[i].key = next_random(&seed) % 100;
		heap_insert(&h, &items[i].node, items[i].key);
	}
	for (int i = 0; i < N; i += 3) {
		heap_remove(&h, &items[i].node);
		items[i].gone = true;
		assert_false(heap_has(&items[i].node));
	}
	for (int i = 1; i < N; i += 3) {
		items[i].key = next_random(&seed) % 100;
		heap_change(&h, &items[i].node, items[i].key);
	}
	for (int i = 0; i < N; i++)
		left += !items[i].gone;
	assert_int_equal(h.n, left);
	while (heap_first(&h)) {
		struct item *item = CONTAINER_OF(heap_first(&h), struct item, node);

		assert_true(heap_first_key(&h) >= last);
		assert_int_equal(heap_first_key(&h), item->key);
		last = item->key;
		heap_remove(&h, &item->node);
		left--;
	}
	assert_int_equal(left, 0);
	assert_true(heap_first_key(&h) == UINT64_MAX);
	heap_done(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
