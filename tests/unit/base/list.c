/* base/list: order, removal inside the loop, splicing. */
#include "base/list.h"
#include "unit/unit.h"

struct item {
	int value;
	struct list link;
};

/* The values from first to last as decimal digits; checks the links backwards too. */
static int digits(const struct list *head)
{
	int forward = 0, backward = 0, scale = 1;

	for (const struct list *at = head->next; at != head; at = at->next)
		forward = forward * 10 + LIST_ENTRY(at, struct item, link)->value;
	for (const struct list *at = head->prev; at != head; at = at->prev, scale *= 10)
		backward += scale * LIST_ENTRY(at, struct item, link)->value;
	assert_int_equal(forward, backward);
	return forward;
}

static void test_list(void **state)
{
	struct list a, b;
	struct item items[6];

	(void)state;
	list_init(&a);
	list_init(&b);
	for (int i = 0; i < 6; i++) {
		items[i].value = i + 1;
		list_init(&items[i].link);
	}
	assert_true(list_is_empty(&a));
	assert_null(list_first(&a));
	assert_null(list_pop(&a));
	list_push(&a, &items[0].link);
	list_push(&a, &items[1].link);
	list_push_front(&a, &items[2].link);
	assert_int_equal(digits(&a), 312);
	list_insert(&items[1].link, &items[3].link);
	assert_int_equal(digits(&a), 3142);
	list_push(&b, &items[4].link);
	list_push(&b, &items[5].link);
	list_splice(&a, &b);
	assert_int_equal(digits(&a), 314256);
	assert_true(list_is_empty(&b));
	list_splice(&a, &b);
	assert_int_equal(digits(&a), 314256);
	LIST_FOR(at, &a)
		if (LIST_ENTRY(at, struct item, link)->value % 2 == 0)
			list_remove(at);
	assert_int_equal(digits(&a), 315);
	list_remove(&items[1].link);	/* in no list: harmless */
	assert_ptr_equal(list_pop(&a), &items[2].link);
	assert_true(list_is_empty(&items[2].link));
	assert_int_equal(digits(&a), 15);
	list_splice(&b, &a);
	assert_int_equal(digits(&b), 15);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_list) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
