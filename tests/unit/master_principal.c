/* Who asks, with groups and proof: as masters tell it each other, whatever their release, and as the leader sees it
 * through any of them. */
#include "tests/unit/kit/master_kit.h"

#include "master/auth/impersonate.h"
#include "master/auth/principal.h"

static void groups_of(const struct principal *p, char *out, size_t size)
{
    size_t n = 0;
    out[0] = '\0';
    for (struct str g = STR_NONE; principal_next_group(p, &g);) {
        n += (size_t)snprintf(out + n, size - n, "%s%.*s", n == 0 ? "" : " ", STR_ARG(g));
        assert_true(n < size);
    }
}

static void assert_groups(const struct principal *p, const char *want)
{
    char text[PRINCIPAL_GROUPS_BYTES];
    groups_of(p, text, sizeof text);
    assert_string_equal(text, want);
}

static struct principal admin_of(const char *name)
{
    struct pki_identity who = {.role = PKI_ROLE_ADMIN};
    struct pki_facts facts = {.serial = "21aa", .ca = "c0ffee", .issued_ms = 7};
    struct principal p;
    snprintf(who.name, sizeof who.name, "%s", name);
    principal_of_certificate(&p, &who, &facts);
    return p;
}

/* [6 certificate] */
static void test_a_certificate_proves_a_user_and_its_group(void **state)
{
    (void)state;
    struct principal p = admin_of("ann");
    struct pki_identity nobody = {.role = PKI_ROLE_NONE}, node = {PKI_ROLE_NODE, "n1"};
    assert_int_equal(p.proof, PROOF_CERTIFICATE);
    assert_groups(&p, "reeve:admins system:masters system:authenticated");
    principal_of_certificate(&p, &node, NULL);
    assert_groups(&p, "reeve:nodes system:nodes system:authenticated");
    principal_of_certificate(&p, &nobody, NULL);
    assert_int_equal(p.proof, PROOF_NONE);
    assert_groups(&p, "system:unauthenticated");
}

static void test_all_of_it_is_carried_from_master_to_master(void **state)
{
    (void)state;
    struct principal p = admin_of("ann"), q;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(principal_add_group(&p, STR("ops"), &err), 0);
    principal_write(&b, &p);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), 0);
    assert_int_equal(q.role, PKI_ROLE_ADMIN);
    assert_string_equal(q.name, "ann");
    assert_int_equal(q.proof, PROOF_CERTIFICATE);
    assert_string_equal(q.facts.serial, "21aa");
    assert_string_equal(q.facts.ca, "c0ffee");
    assert_int_equal(q.facts.issued_ms, 7);
    assert_int_equal(q.forwarded_by, 3);
    assert_groups(&q, "reeve:admins system:masters system:authenticated ops");
}

/* Their maps, word for word. */
static void test_what_older_masters_tell_is_understood(void **state)
{
    (void)state;
    struct principal p;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "role", PKI_ROLE_ADMIN);
    mp_write_key_str(&b, "name", STR("ann"));
    assert_int_equal(principal_read(mp_of(b.data, b.size), 2, &p, &err), 0);
    assert_string_equal(p.name, "ann");
    assert_string_equal(p.facts.serial, "");
    assert_int_equal(p.proof, PROOF_CERTIFICATE);
    assert_groups(&p, "reeve:admins system:masters system:authenticated");
    buf_reset(&b);
    mp_write_map(&b, 5);
    mp_write_key_int(&b, "role", PKI_ROLE_NONE);
    mp_write_key_str(&b, "name", STR(""));
    mp_write_key_str(&b, "serial", STR(""));
    mp_write_key_str(&b, "ca", STR(""));
    mp_write_key_int(&b, "issuedMs", 0);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 2, &p, &err), 0);
    assert_int_equal(p.proof, PROOF_NONE);
    assert_groups(&p, "system:unauthenticated");
}

/* Connections share what says the same (sessions_principal): another token of the same user is another one. */
static void test_tokens_that_differ_are_not_the_same(void **state)
{
    (void)state;
    struct principal a = admin_of("ann");
    a.proof = PROOF_TOKEN;
    a.token =
        (struct principal_token){.until_s = 9, .uid = "u", .bound = 'p', .name = "n", .bound_uid = "b", .id = "i"};
    struct principal b = a;
    assert_true(principal_same(&a, &b));
    struct principal other[] = {a, a, a, a, a, a, a};
    other[0].token.until_s = 10;
    other[1].token.uid[0] = 'v';
    other[2].token.bound = 's';
    other[3].token.name[0] = 'm';
    other[4].token.bound_uid[0] = 'c';
    other[5].token.id[0] = 'j';
    other[6].proof = PROOF_CERTIFICATE;
    for (unsigned i = 0; i < ARRAY_SIZE(other); i++) {
        assert_false(principal_same(&a, &other[i]));
        assert_false(principal_same(&other[i], &a));
    }
    b.proof = PROOF_LATER; /* nobody knows what else belongs to that */
    assert_false(principal_same(&b, &b));
}

/* They read what they know by its name, and pass over the rest. */
static void test_what_older_masters_read_is_there(void **state)
{
    (void)state;
    struct principal p = admin_of("ann");
    CLEANUP_BUF struct buf b = BUF_INIT;
    principal_write(&b, &p);
    struct mp m = mp_of(b.data, b.size);
    assert_int_equal(mp_int(mp_get(m, "role"), -1), PKI_ROLE_ADMIN);
    assert_true(str_is(mp_str(mp_get(m, "name")), "ann"));
    assert_true(str_is(mp_str(mp_get(m, "serial")), "21aa"));
    assert_true(str_is(mp_str(mp_get(m, "ca")), "c0ffee"));
    assert_int_equal(mp_int(mp_get(m, "issuedMs"), 0), 7);
}

static void test_a_proof_of_a_later_release_is_the_other_masters_word(void **state)
{
    (void)state;
    struct principal p;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_map(&b, 4);
    mp_write_key_int(&b, "role", PKI_ROLE_NONE);
    mp_write_key_str(&b, "name", STR("ann"));
    mp_write_key_str(&b, "proof", STR("oracle"));
    mp_write_cstr(&b, "groups");
    mp_write_array(&b, 1);
    mp_write_cstr(&b, "ops");
    assert_int_equal(principal_read(mp_of(b.data, b.size), 2, &p, &err), 0);
    assert_int_equal(p.proof, PROOF_LATER);
    assert_int_equal(p.role, PKI_ROLE_NONE); /* which may do what strangers may */
    assert_groups(&p, "ops");
}

static struct principal account_of(const char *name)
{
    struct principal p = {.role = PKI_ROLE_USER, .proof = PROOF_TOKEN, .token = {.until_s = 77, .bound = 'p'}};
    snprintf(p.name, sizeof p.name, "%s", name);
    snprintf(p.token.uid, sizeof p.token.uid, "u1");
    snprintf(p.token.name, sizeof p.token.name, "web-0");
    snprintf(p.token.bound_uid, sizeof p.token.bound_uid, "u2");
    snprintf(p.token.id, sizeof p.token.id, "j");
    return p;
}

static void test_what_a_token_is_bound_to_is_carried(void **state)
{
    (void)state;
    struct principal p = account_of("system:serviceaccount:shop:web"), q;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT;
    principal_write(&b, &p);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), 0);
    assert_int_equal(q.proof, PROOF_TOKEN);
    assert_memory_equal(&q.token, &p.token, sizeof p.token);
}

/* The leader asks the state for the account that the name tells. */
static void test_a_token_of_an_account_with_another_name_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"ann", "system:serviceaccount:shop", "system:serviceaccount:"};
    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        struct principal p = account_of(names[i]), q;
        struct error err = {0};
        CLEANUP_BUF struct buf b = BUF_INIT;
        principal_write(&b, &p);
        assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), ERR_PROTOCOL);
    }
}

/* Whom one asks as, and who really asks, travel together; half of it is nobody. */
static void test_who_asks_as_somebody_else_stays_known(void **state)
{
    (void)state;
    struct principal ann = admin_of("ann"), q;
    struct principal *by = principal_share(&ann), *as = NULL;
    struct error err = {0};
    CLEANUP_BUF struct buf b = BUF_INIT, extra = BUF_INIT;
    mp_write_map(&extra, 1);
    mp_write_cstr(&extra, "scopes");
    mp_write_array(&extra, 1);
    mp_write_cstr(&extra, "view");
    struct impersonate_wish wish = {.user = STR("tom"),
                                    .uid = STR("7"),
                                    .groups = {STR("dev"), STR("dev"), STR("system:authenticated")},
                                    .groups_count = 3,
                                    .extra = mp_of(extra.data, extra.size)};
    assert_int_equal(impersonate_begin(by, &wish, &as, &err), 0);
    principal_unref(by);
    assert_groups(as, "dev system:authenticated");
    assert_int_equal(as->as->groups_asked, 2);
    principal_write(&b, as);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), 0);
    struct principal *read = principal_share(&q);
    assert_string_equal(read->name, "tom");
    assert_int_equal(read->role, PKI_ROLE_USER);
    assert_groups(read, "dev system:authenticated");
    assert_string_equal(read->as->uid, "7");
    assert_string_equal(read->as->by->name, "ann");
    assert_int_equal(read->as->by->role, PKI_ROLE_ADMIN);
    assert_int_equal(read->as->by->forwarded_by, 3);
    assert_int_equal(read->as->groups_asked, 2);
    assert_true(buf_str(&read->as->extra).n == extra.size);
    assert_true(principal_asker(read) == read->as->by && principal_asker(read->as->by) == read->as->by);
    principal_unref(read);
    /* An administrator's role, or nobody who asks: none of it. */
    struct principal wrong = *as;
    wrong.role = PKI_ROLE_ADMIN;
    buf_reset(&b);
    principal_write(&b, &wrong);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), ERR_PROTOCOL);
    wrong = *as;
    wrong.as = NULL;
    buf_reset(&b);
    principal_write(&b, &wrong);
    assert_int_equal(principal_read(mp_of(b.data, b.size), 3, &q, &err), ERR_PROTOCOL);
    principal_unref(as);
}

static void refuse(const struct buf *b)
{
    struct principal p;
    struct error err = {0};
    assert_int_equal(principal_read(mp_of(b->data, b->size), 2, &p, &err), ERR_PROTOCOL);
    assert_non_null(strstr(err.message, "malformed identity"));
}

static void test_malformed_identities_are_refused(void **state)
{
    (void)state;
    char long_name[PKI_NAME_MAX + 2];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    CLEANUP_BUF struct buf b = BUF_INIT;
    mp_write_nil(&b);
    refuse(&b);
    buf_reset(&b);
    mp_write_map(&b, 1);
    mp_write_key_int(&b, "role", PKI_ROLE_USER + 1);
    refuse(&b);
    buf_reset(&b);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "role", PKI_ROLE_ADMIN);
    mp_write_key_str(&b, "name", str_of(long_name));
    refuse(&b);
    buf_reset(&b);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "role", PKI_ROLE_ADMIN);
    mp_write_cstr(&b, "groups");
    mp_write_array(&b, PRINCIPAL_GROUPS_MAX + 1);
    for (unsigned i = 0; i <= PRINCIPAL_GROUPS_MAX; i++) {
        mp_write_cstr(&b, "g");
    }
    refuse(&b);
    buf_reset(&b);
    mp_write_map(&b, 2);
    mp_write_key_int(&b, "role", PKI_ROLE_ADMIN);
    mp_write_cstr(&b, "groups");
    mp_write_array(&b, 1);
    mp_write_int(&b, 1);
    refuse(&b);
}

/* With one certificate, so that it is the same caller. */
static struct net_tls *certificate(struct kit *k, char serial[PKI_SERIAL_SIZE])
{
    const struct pki_identity who = {PKI_ROLE_ADMIN, "ann"};
    char *cert, *key;
    struct pki_facts facts;
    struct net_tls *tls;
    struct error err = {0};
    assert_int_equal(pki_issue(k->ca, k->ca_key, &who, NULL, 3600, &cert, &key, &err), 0);
    assert_int_equal(pki_cert_facts(cert, &facts, &err), 0);
    assert_int_equal(net_tls_new(k->ca, cert, key, NULL, &tls, &err), 0);
    snprintf(serial, PKI_SERIAL_SIZE, "%s", facts.serial);
    free(cert);
    pki_free_key(key);
    return tls;
}

/* What the leader says of a request comes whole through whoever forwarded it. */
static void refuse_with_causes(struct client *c)
{
    struct str group, kind, name;
    struct error_cause_text cause;
    refused(c, ERR_INVALID, "ReplicaSet \"r\" is invalid:\n* spec.selector: Required value", "create",
            "{object: {apiVersion: apps/v1, kind: ReplicaSet, metadata: {name: r}, spec: {replicas: 1}}}");
    assert_true(error_about(&c->err, &group, &kind, &name));
    assert_true(str_is(group, "apps") && str_is(kind, "ReplicaSet") && str_is(name, "r"));
    assert_true(c->err.causes_all > 1);
    assert_int_equal(c->err.causes_kept, c->err.causes_all);
    assert_true(error_cause(&c->err, 0, &cause));
    assert_int_equal(cause.reason, ERROR_CAUSE_REQUIRED);
    assert_true(str_is(cause.field, "spec.selector") && str_is(cause.text, "Required value"));
}

static void test_the_leader_sees_the_same_caller_through_every_master(void **state)
{
    (void)state;
    struct kit *k = kit_three(NULL);
    unsigned forwarded = 0;
    char serial[PKI_SERIAL_SIZE];
    struct net_tls *tls = certificate(k, serial);
    for (unsigned i = 0; i < 3; i++) {
        struct client *c = client_with(k, i, tls);
        must(c, "whoami", "{}");
        const struct value *groups = value_get(c->result, "groups");
        assert_string_equal(text_at(c, "user"), "ann");
        assert_int_equal(value_count(groups), 3);
        assert_true(str_is(value_to_str(value_item(groups, 0)), "reeve:admins"));
        assert_true(str_is(value_to_str(value_item(groups, 1)), "system:masters"));
        assert_true(str_is(value_to_str(value_item(groups, 2)), "system:authenticated"));
        assert_string_equal(text_at(c, "certificate.serial"), serial);
        assert_int_equal(strlen(text_at(c, "certificate.ca")), 32);
        forwarded += value_get(c->result, "forwardedBy") != NULL;
        refuse_with_causes(c);
    }
    assert_int_equal(forwarded, 2);
    net_tls_unref(tls);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_certificate_proves_a_user_and_its_group),
        cmocka_unit_test(test_all_of_it_is_carried_from_master_to_master),
        cmocka_unit_test(test_what_older_masters_tell_is_understood),
        cmocka_unit_test(test_tokens_that_differ_are_not_the_same),
        cmocka_unit_test(test_what_older_masters_read_is_there),
        cmocka_unit_test(test_what_a_token_is_bound_to_is_carried),
        cmocka_unit_test(test_a_token_of_an_account_with_another_name_is_refused),
        cmocka_unit_test(test_who_asks_as_somebody_else_stays_known),
        cmocka_unit_test(test_a_proof_of_a_later_release_is_the_other_masters_word),
        cmocka_unit_test(test_malformed_identities_are_refused),
        cmocka_unit_test(test_the_leader_sees_the_same_caller_through_every_master),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
