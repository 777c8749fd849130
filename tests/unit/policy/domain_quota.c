/* domain_quota: messages and octets for each domain of a route, by tickets. */
#include "policy/domain_quota.h"

#include "base/hash.h"
#include "unit/unit.h"

static struct route route_of(const char *name, uint64_t octets, uint64_t messages)
{
	return (struct route){ .base = name_intern(str_of(name)), .quota_octets = octets,
			       .quota_messages = messages };
}

static bool accepts(struct domain_quota *q, const struct route *r, const char *domain,
		    uint64_t octets)
{
	struct reply reply = { 0 };
	bool yes = domain_quota_accepts(q, r, str_of(domain), octets, &reply);

	assert_int_equal(reply.code, yes ? 0 : 452);
	return yes;
}

static void test_counts(void **state)
{
	const struct str both[] = { STR("a.example"), STR("b.example"), STR("A.Example") };
	struct domain_quota *q = domain_quota_new();
	struct route r = route_of("r", 1000, 3), other = route_of("other", 1000, 3);
	struct quota_ticket *t[3];

	(void)state;
	assert_true(accepts(q, &r, "a.example", 1000));
	assert_false(accepts(q, &r, "a.example", 1001));
	t[0] = domain_quota_take(q, &r, both, 3, 600);
	assert_false(accepts(q, &r, "A.EXAMPLE", 401));
	assert_true(accepts(q, &r, "a.example", 400));
	assert_true(accepts(q, &other, "a.example", 1000));
	t[1] = domain_quota_take(q, &r, both, 1, 10);
	t[2] = domain_quota_take(q, &r, both, 1, 10);
	assert_false(accepts(q, &r, "a.example", 0));
	assert_true(accepts(q, &r, "b.example", 0));
	/* parts: the last one gives back */
	assert_ptr_equal(domain_quota_share(t[0]), t[0]);
	domain_quota_return(q, t[0]);
	assert_false(accepts(q, &r, "a.example", 0));
	domain_quota_return(q, t[0]);
	assert_true(accepts(q, &r, "a.example", 980));
	assert_false(accepts(q, &r, "a.example", 981));
	/* over by what was on its way, or by a smaller quota: no wrap */
	r.quota_octets = 5;
	assert_false(accepts(q, &r, "a.example", 0));
	domain_quota_return(q, t[1]);
	domain_quota_return(q, t[2]);
	assert_true(accepts(q, &r, "a.example", 5));
	domain_quota_free(q);
}

static void test_none(void **state)
{
	const struct str domain = STR("a.example");
	struct domain_quota *q = domain_quota_new();
	struct route r = route_of("r", 0, 0);

	(void)state;
	assert_null(domain_quota_take(q, &r, &domain, 1, 600));
	assert_null(domain_quota_take(q, NULL, &domain, 1, 600));
	domain_quota_return(q, domain_quota_share(NULL));
	assert_true(accepts(q, &r, "a.example", UINT64_MAX));
	domain_quota_free(q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_none),
	};

	hash_seed(3, 5);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
