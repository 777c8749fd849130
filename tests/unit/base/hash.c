/* base/hash: the hash function against its definition, the map with colliding and many members. */
#include "base/hash.h"
#include "base/list.h"
#include "unit/unit.h"

#define N 20000

struct item {
	struct map_node node;
	uint64_t key;
	bool seen;
};

static void test_hash(void **state)
{
	char bytes[64];
	uint64_t before;

	(void)state;
	for (int i = 0; i < 64; i++)
		bytes[i] = (char)i;
	/*
	 * SipHash-1-3 with key 00..0f over 00, 01, ... : the first two of the vectors published
	 * with the reference's 1-3 variant (as used by Rust's and Perl's hash tables).
	 */
	hash_seed(0x0706050403020100u, 0x0f0e0d0c0b0a0908u);
	assert_true(hash_bytes(bytes, 0) == 0xabac0158050fc4dcu);
	assert_true(hash_bytes(bytes, 1) == 0xc9f49bf37d57ca93u);
	before = hash_bytes(bytes, 63);
	hash_seed(1, 2);
	assert_true(hash_bytes(bytes, 63) != before);
	for (size_t n = 1; n < 64; n++)
		assert_true(hash_bytes(bytes, n) != hash_bytes(bytes, n - 1));
	assert_true(hash_nocase(STR("Example.ORG")) == hash_nocase(STR("eXAMPLE.org")));
	assert_true(hash_nocase(STR("a")) != hash_nocase(STR("a\0")));
	assert_true(hash_nocase(STR("example.org")) == hash_bytes("example.org", 11));
	assert_true(hash_nocase(STR("example8")) == hash_bytes("example8", 8));
	assert_true(hash_nocase(STR("")) == hash_bytes("", 0));
	assert_true(hash_u64(1) != hash_u64(2));
}

static struct item *find(const struct map *m, uint64_t key, uint64_t hash)
{
	for (struct map_node *node = map_first(m, hash); node; node = map_next(node)) {
		struct item *item = CONTAINER_OF(node, struct item, node);

		if (item->key == key)
			return item;
	}
	return NULL;
}

/* A tenth as many hashes as keys: every hash is shared. */
static uint64_t hash_of(uint64_t key)
{
	return hash_u64(key / 10);
}

/* All that were inserted are there once, by walking, by buckets, by their keys. */
static void check_all(const struct map *m, const struct item *items, uint64_t n)
{
	uint64_t walked = 0, in_buckets = 0;

	for (struct map_node *node = map_walk(m, NULL); node; node = map_walk(m, node))
		walked++;
	for (size_t at = 0; at < m->size; at++)
		for (struct map_node *node = map_bucket_first(m, at); node;
		     node = map_bucket_next(m, node)) {
			assert_int_equal(node->hash & (m->size - 1), at);
			in_buckets++;
		}
	assert_int_equal(walked, n);
	assert_int_equal(in_buckets, n);
	for (uint64_t i = 0; i < n; i += 31)
		assert_ptr_equal(find(m, i, hash_of(i)), &items[i]);
}

static void test_map(void **state)
{
	static struct item items[N];
	struct map m;
	size_t walked = 0;

	(void)state;
	map_init(&m);
	assert_null(map_first(&m, 1));
	assert_null(map_walk(&m, NULL));
	for (uint64_t i = 0; i < N; i++) {
		items[i].key = i;
		map_insert(&m, &items[i].node, hash_of(i));
		if (i % 997 == 0)
			check_all(&m, items, i + 1);
	}
	assert_int_equal(m.n, N);
	for (uint64_t i = 0; i < N; i++)
		assert_ptr_equal(find(&m, i, hash_of(i)), &items[i]);
	assert_null(find(&m, N + 100, hash_of(N + 100)));
	for (uint64_t i = 0; i < N; i += 3)
		map_remove(&m, &items[i].node);
	for (uint64_t i = 0; i < N; i++)
		assert_ptr_equal(find(&m, i, hash_of(i)), i % 3 ? &items[i] : NULL);
	for (struct map_node *node = map_walk(&m, NULL), *next; node; node = next) {
		struct item *item = CONTAINER_OF(node, struct item, node);

		next = map_walk(&m, node);
		assert_false(item->seen);
		item->seen = true;
		walked++;
		map_remove(&m, node);
	}
	assert_int_equal(walked, N - (N + 2) / 3);
	assert_int_equal(m.n, 0);
	map_done(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hash),
		cmocka_unit_test(test_map),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
