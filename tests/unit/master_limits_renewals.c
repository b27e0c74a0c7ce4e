/* Renewals of one identity: some are signed, the flood behind them is refused and costs next to nothing, and others
 * are served meanwhile. */
#include "master/auth/certs.h"
#include "master/master.h"
#include "tests/unit/kit/master_kit.h"

#define FLOOD    2000u
#define PIPELINE 500u /* under the session's own bound of requests in flight */

static int set_up(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

struct flood {
    struct client *client;
    struct str params;
    unsigned sent, answered, signed_, refused;
    int64_t retry_after_ms;
    char message[ERROR_MESSAGE_MAX];
    bool done;
};

static void answered(const struct rpc_result *r, void *data);

static void send_one(struct flood *f)
{
    f->sent++;
    rpc_call(f->client->rpc, "cert.renew", f->params, KIT_WAIT_MS, answered, f);
}

static void answered(const struct rpc_result *r, void *data)
{
    struct flood *f = data;
    f->answered++;
    if (r->error == NULL) {
        f->signed_++;
    } else {
        assert_int_equal(r->error->code, ERR_LIMIT);
        f->refused++;
        f->retry_after_ms = r->error->retry_after_ms;
        snprintf(f->message, sizeof f->message, "%s", r->error->message);
    }
    if (f->sent < FLOOD) {
        send_one(f);
    }
    f->done = f->answered == FLOOD;
}

static struct value *request(struct kit *k, enum pki_role role, const char *name)
{
    struct pki_identity who = {.role = role};
    char *csr, *key;
    snprintf(who.name, sizeof who.name, "%s", name);
    assert_int_equal(pki_make_request(&who, &csr, &key, NULL), 0);
    struct value *params = value_map(&k->arena);
    value_set(&k->arena, params, "csr", value_cstr(&k->arena, csr));
    free(csr);
    pki_free_key(key);
    return params;
}

/* User and system time of a master, in ms. */
static int64_t cpu_ms(struct kit *k, unsigned master)
{
    char path[64];
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)k->masters[master].pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system), 2);
    fclose(f);
    return (int64_t)(user + system) * 1000 / sysconf(_SC_CLK_TCK);
}

static void of_two_thousand_pipelined_renewals_a_few_are_signed(void **state)
{
    struct kit *k = *state;
    struct client *attacker = client_as(k, 0, PKI_ROLE_NODE, "greedy"),
                  *other = client_as(k, 0, PKI_ROLE_NODE, "modest"), *admin = client_admin(k, 0);
    CLEANUP_BUF struct buf params = BUF_INIT;
    must(attacker, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: greedy}}}");
    must(other, "node.register", "{node: {apiVersion: v1, kind: Node, metadata: {name: modest}}}");
    msgpack_write_value(&params, request(k, PKI_ROLE_NODE, "greedy"));
    struct flood f = {.client = attacker, .params = buf_str(&params)};
    int64_t cpu = cpu_ms(k, 0), start = kit_now();
    for (unsigned i = 0; i < PIPELINE; i++) {
        send_one(&f);
    }
    must_value(other, "cert.renew", request(k, PKI_ROLE_NODE, "modest")); /* meanwhile */
    kit_until(k, &f.done, "the flood is answered");
    unsigned earned = (unsigned)((kit_now() - start) / (CERTS_RENEW_US / 1000)) + 1;
    print_message("%u renewals: %u signed, %u refused, %lld ms of CPU\n", FLOOD, f.signed_, f.refused,
                  (long long)(cpu_ms(k, 0) - cpu));
    assert_in_range(f.signed_, CERTS_RENEW_BURST, CERTS_RENEW_BURST + earned);
    assert_non_null(strstr(f.message, "node \"greedy\" has had its certificate renewed too often"));
    assert_in_range(f.retry_after_ms, 1, (CERTS_RENEW_US / 1000));
    must(admin, "cluster", "{}");
    assert_int_equal(int_at(admin, "stats.renewalsRefused"), f.refused);
    assert_int_equal(int_at(admin, "stats.certificatesRenewed"), f.signed_ + 1);
    client_close(attacker);
    client_close(other);
    client_close(admin);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(of_two_thousand_pipelined_renewals_a_few_are_signed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
