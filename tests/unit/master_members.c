/* Membership as its users see it: masters that join, come back, are replaced and removed, on a cluster that goes on working. */
#include <sys/stat.h>

#include "tests/unit/kit/master_kit.h"

static int set_up(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* ---- Looking at the members ---- */

static const struct value *member(struct client *c, int64_t id)
{
    must(c, "cluster", "{}");
    const struct value *members = value_get(c->result, "members");
    VALUE_FOR(i, members)
    {
        if (value_path_int(value_item(members, i), "id", 0) == id) {
            return value_item(members, i);
        }
    }
    return NULL;
}

static unsigned __attribute__((unused)) voters(struct client *c)
{
    unsigned n = 0;
    must(c, "cluster", "{}");
    const struct value *members = value_get(c->result, "members");
    VALUE_FOR(i, members)
    {
        n += str_is(value_path_str(value_item(members, i), "role"), "voter");
    }
    return n;
}

static void __attribute__((unused)) await_voter(struct client *c, int64_t id)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(c->kit, 50)) {
        const struct value *m = member(c, id);
        if (m != NULL && str_is(value_path_str(m, "role"), "voter")) {
            return;
        }
        assert_true(kit_now() < until);
    }
}

static void await_down(struct client *c, int64_t id)
{
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(c->kit, 50)) {
        if (!value_path_bool(member(c, id), "reachable", true)) {
            return;
        }
        assert_true(kit_now() < until);
    }
}

/* ---- Coming back without one's data ---- */

static struct value *newcomer(struct kit *k, const char *address, const char *more)
{
    char *csr, *key;
    struct error err = {0};
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "joining"};
    assert_int_equal(pki_make_request(&who, &csr, &key, &err), 0);
    struct value *p = kit_doc(k, "{address: '%s', %s}", address, more);
    value_set(&k->arena, p, "csr", value_cstr(&k->arena, csr));
    free(csr);
    pki_free_key(key);
    return p;
}

static void test_a_master_that_lost_its_data_comes_back_as_another(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k), lost = (leader + 1) % 3, by = (leader + 2) % 3;
    struct client *c = client_admin(k, leader);
    char old[16];
    snprintf(old, sizeof old, "%u", lost + 1);
    struct client *self = client_as(k, by, PKI_ROLE_MASTER, old);
    struct value *p = newcomer(k, k->masters[lost].addr, "reason: damaged segment");
    assert_int_equal(call_value(self, "rejoin", p), ERR_BUSY); /* it runs */
    kit_stop(k, lost, SIGKILL);
    await_down(c, lost + 1);
    must_value(self, "rejoin", p);
    assert_int_equal(int_at(self, "id"), 4);
    assert_true(value_count(value_get(self->result, "masters")) == 3);
    assert_null(member(c, lost + 1));
    assert_string_equal(value_text(k, member(c, 4), "role"), "standby");
    /* The answer got lost: the same question again, with a certificate that counts for nothing else any more. */
    must_value(self, "rejoin", p);
    assert_int_equal(int_at(self, "id"), 5);
    assert_null(member(c, 4));
    assert_non_null(member(c, 5));
    for (int64_t until = kit_now() + KIT_WAIT_MS; call(self, "cluster", "{}") != ERR_FORBIDDEN; kit_turn(k, 50)) {
        assert_true(kit_now() < until);
    }
    struct client *node = client_as(k, by, PKI_ROLE_NODE, "n");
    assert_int_equal(call_value(node, "rejoin", p), ERR_FORBIDDEN);
    struct client *admin = client_admin(k, by);
    assert_int_equal(call_value(admin, "rejoin", p), ERR_FORBIDDEN);
    must(c, "master.remove", "{id: 5}");
    assert_null(member(c, 5));
    assert_int_equal(call_value(self, "rejoin", p), ERR_FORBIDDEN);
    client_close(admin);
    client_close(node);
    client_close(self);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_master_that_lost_its_data_comes_back_as_another, set_up, tear_down),
    };
    cmocka_set_test_filter(getenv("TEST"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
