/* DNS messages: questions of all sorts, answers that fit and that do not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/dns/message.h"

#include <ldns/ldns.h>
#include <stdio.h>

#define AAAA 28

/* A question as resolvers send it. size 0: without OPT. */
static ldns_pkt *question(const char *name, unsigned type, uint16_t size)
{
    ldns_pkt *m = ldns_pkt_query_new(ldns_dname_new_frm_str(name), (ldns_rr_type)type, LDNS_RR_CLASS_IN, LDNS_RD);
    ldns_pkt_set_id(m, 4711);
    if (size > 0) {
        ldns_pkt_set_edns_udp_size(m, size);
    }
    return m;
}

static enum dns_code read_and_free(ldns_pkt *m, struct dns_question *q)
{
    uint8_t *wire;
    size_t n;
    enum dns_code code;
    assert_int_equal(ldns_pkt2wire(&wire, m, &n), LDNS_STATUS_OK);
    assert_true(dns_read_question(wire, n, q, &code));
    free(wire);
    ldns_pkt_free(m);
    return code;
}

static void ask(const char *name, unsigned type, uint16_t size, struct dns_question *q)
{
    assert_int_equal(read_and_free(question(name, type, size), q), DNS_OK);
}

/* What a resolver makes of it; freed by the caller. */
static ldns_pkt *answer_of(const struct buf *b)
{
    ldns_pkt *m = NULL;
    assert_int_equal(ldns_wire2pkt(&m, (const uint8_t *)b->data, b->size), LDNS_STATUS_OK);
    assert_true(ldns_pkt_qr(m));
    return m;
}

static struct zone_answer found(struct zone_record *records, unsigned count)
{
    for (unsigned i = 0; i + 1 < count; i++) {
        records[i].next = &records[i + 1];
    }
    return (struct zone_answer){.result = ZONE_FOUND, .records = records, .count = count};
}

static void a_question_is_read(void **state)
{
    (void)state;
    struct dns_question q;
    ask("WWW.Example.com.", ZONE_A, 0, &q);
    assert_int_equal(q.id, 4711);
    assert_int_equal(q.type, ZONE_A);
    assert_int_equal(q.count, 3);
    assert_true(str_is(q.labels[0], "www") && str_is(q.labels[1], "example") && str_is(q.labels[2], "com"));
    assert_int_equal(q.room, DNS_UDP_PLAIN);
    assert_true(q.recursion && !q.extended);
    ask("a.b.", AAAA, 4096, &q);
    assert_int_equal(q.room, DNS_UDP_MAX);
    assert_true(q.extended && !q.dnssec);
    ask("a.b.", AAAA, 100, &q);
    assert_int_equal(q.room, DNS_UDP_PLAIN);
    ask(".", ZONE_NS, 0, &q);
    assert_int_equal(q.count, 0);
    assert_int_equal(q.name_bytes, 1);
}

static void what_is_no_question_is_told_so(void **state)
{
    (void)state;
    struct dns_question q;
    enum dns_code code;
    uint8_t p[DNS_QUESTION_MAX + 64] = {0x12, 0x34, 1, 0, 0, 0};
    assert_false(dns_read_question(p, 11, &q, &code));
    assert_true(dns_read_question(p, 12, &q, &code)); /* no question in it */
    assert_int_equal(code, DNS_MALFORMED);
    assert_int_equal(q.id, 0x1234);
    p[5] = 1; /* one is said to be, and is not */
    assert_true(dns_read_question(p, 12, &q, &code));
    assert_int_equal(code, DNS_MALFORMED);
    assert_true(dns_read_question(p, sizeof p, &q, &code)); /* too long */
    assert_int_equal(code, DNS_MALFORMED);
    p[2] = 0x80; /* an answer: nothing is sent back */
    assert_false(dns_read_question(p, 12, &q, &code));
    p[2] = 5 << 3; /* an update */
    assert_true(dns_read_question(p, 12, &q, &code));
    assert_int_equal(code, DNS_NOT_DONE);

    ldns_pkt *m = question("a.b.", LDNS_RR_TYPE_AXFR, 0);
    assert_int_equal(read_and_free(m, &q), DNS_REFUSED);
    m = question("a.b.", ZONE_A, 0);
    ldns_rr_set_class(ldns_rr_list_rr(ldns_pkt_question(m), 0), LDNS_RR_CLASS_CH);
    assert_int_equal(read_and_free(m, &q), DNS_REFUSED);
    m = question("a.b.", ZONE_A, 0);
    ldns_pkt_push_rr(m, LDNS_SECTION_QUESTION, ldns_rr_clone(ldns_rr_list_rr(ldns_pkt_question(m), 0)));
    assert_int_equal(read_and_free(m, &q), DNS_MALFORMED);
    m = question("a.b.", ZONE_A, 1232);
    ldns_pkt_set_edns_version(m, 1);
    assert_int_equal(read_and_free(m, &q), DNS_VERSION);
    CLEANUP_BUF struct buf b = BUF_INIT;
    dns_write_code(&b, &q, DNS_VERSION);
    m = answer_of(&b);
    assert_int_equal(ldns_pkt_get_rcode(m) | ldns_pkt_edns_extended_rcode(m) << 4, 16);
    ldns_pkt_free(m);
}

/* A resolver drops an answer whose question or operation is another than its own, and would wait in vain. */
static void a_refusal_repeats_what_was_asked(void **state)
{
    (void)state;
    struct dns_question q;
    enum dns_code code;
    CLEANUP_BUF struct buf refused = BUF_INIT, not_done = BUF_INIT;
    ldns_pkt *m = question("version.bind.", LDNS_RR_TYPE_TXT, 0);
    ldns_rr_set_class(ldns_rr_list_rr(ldns_pkt_question(m), 0), LDNS_RR_CLASS_CH);
    code = read_and_free(m, &q);
    dns_write_code(&refused, &q, code);
    m = answer_of(&refused);
    const ldns_rr *asked = ldns_rr_list_rr(ldns_pkt_question(m), 0);
    assert_int_equal(ldns_pkt_get_rcode(m), DNS_REFUSED);
    assert_int_equal(ldns_rr_get_class(asked), LDNS_RR_CLASS_CH);
    assert_int_equal(ldns_rr_get_type(asked), LDNS_RR_TYPE_TXT);
    ldns_pkt_free(m);

    const uint8_t update[12] = {0x12, 0x34, LDNS_PACKET_UPDATE << 3};
    assert_true(dns_read_question(update, sizeof update, &q, &code));
    dns_write_code(&not_done, &q, code);
    m = answer_of(&not_done);
    assert_int_equal(ldns_pkt_get_rcode(m), DNS_NOT_DONE);
    assert_int_equal(ldns_pkt_get_opcode(m), LDNS_PACKET_UPDATE);
    ldns_pkt_free(m);
}

/* Names that point at themselves, at each other and behind the end. */
static void pointers_in_questions_end(void **state)
{
    (void)state;
    static const uint8_t names[][4] = {{0xc0, 12}, {0xc0, 0xff}, {1, 'a', 0xc0, 12}, {63, 'a', 0, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        uint8_t p[20] = {0x12, 0x34, 1, 0, 0, 1};
        struct dns_question q;
        enum dns_code code;
        memcpy(p + 12, names[i], 4);
        p[17] = p[19] = 1;
        assert_true(dns_read_question(p, sizeof p, &q, &code));
        assert_int_equal(code, DNS_MALFORMED);
    }
}

static void the_case_of_the_question_comes_back(void **state)
{
    (void)state;
    struct dns_question q;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct zone_record r = {.type = ZONE_A, .ip = 0x0a600007};
    struct zone_answer a = found(&r, 1);
    ask("wEb.DeFault.svc.cluster.LOCAL.", ZONE_A, 0, &q);
    dns_write_zone(&b, &q, &a, STR("cluster.local"), 1, q.room);
    ldns_pkt *m = answer_of(&b);
    CLEANUP_FREE char *text = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_answer(m), 0));
    assert_string_equal(text, "wEb.DeFault.svc.cluster.LOCAL.\t5\tIN\tA\t10.96.0.7\n");
    assert_true(ldns_pkt_aa(m) && ldns_pkt_ra(m) && ldns_pkt_rd(m));
    assert_int_equal(ldns_pkt_id(m), 4711);
    assert_false(ldns_pkt_edns(m));
    ldns_pkt_free(m);
}

static void no_name_and_no_data_have_an_authority_of_five_seconds(void **state)
{
    (void)state;
    static const enum zone_result results[] = {ZONE_NO_NAME, ZONE_NO_DATA};
    for (size_t i = 0; i < ARRAY_SIZE(results); i++) {
        struct dns_question q;
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct zone_answer a = {.result = results[i]};
        ask("x.svc.cluster.local.", AAAA, 1232, &q);
        dns_write_zone(&b, &q, &a, STR("cluster.local"), 77, q.room);
        ldns_pkt *m = answer_of(&b);
        assert_int_equal(ldns_pkt_get_rcode(m), i == 0 ? DNS_NO_NAME : DNS_OK);
        assert_int_equal(ldns_pkt_ancount(m), 0);
        CLEANUP_FREE char *text = ldns_rr2str(ldns_rr_list_rr(ldns_pkt_authority(m), 0));
        assert_string_equal(text,
                            "cluster.local.\t5\tIN\tSOA\tns.dns.cluster.local. hostmaster.cluster.local. 77 7200 1800 "
                            "86400 5\n");
        assert_true(ldns_pkt_edns(m));
        ldns_pkt_free(m);
    }
}

static void what_is_not_known_yet_is_a_failure_not_an_answer(void **state)
{
    (void)state;
    struct dns_question q;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct zone_answer a = {.result = ZONE_UNKNOWN};
    ask("x.svc.cluster.local.", ZONE_A, 0, &q);
    dns_write_zone(&b, &q, &a, STR("cluster.local"), 1, q.room);
    ldns_pkt *m = answer_of(&b);
    assert_int_equal(ldns_pkt_get_rcode(m), DNS_FAILED);
    assert_int_equal(ldns_pkt_nscount(m), 0);
    ldns_pkt_free(m);
}

static void all_types_are_written(void **state)
{
    (void)state;
    struct dns_question q;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct zone_record r[] = {{.type = ZONE_SRV, .text = STR("a.b"), .port = 80, .weight = 50},
                              {.type = ZONE_A, .owner = STR("a.b"), .ip = 0x01020304, .additional = true},
                              {.type = ZONE_TXT, .text = STR("1.1.0")},
                              {.type = ZONE_PTR, .text = STR("c.d")},
                              {.type = ZONE_NS, .text = STR("ns.d")},
                              {.type = ZONE_SOA}};
    struct zone_answer a = found(r, ARRAY_SIZE(r));
    ask("x.", ZONE_ANY, 0, &q);
    dns_write_zone(&b, &q, &a, STR("d"), 1, q.room);
    ldns_pkt *m = answer_of(&b);
    CLEANUP_FREE char *answers = ldns_rr_list2str(ldns_pkt_answer(m));
    CLEANUP_FREE char *more = ldns_rr_list2str(ldns_pkt_additional(m));
    assert_string_equal(answers, "x.\t5\tIN\tSRV\t0 50 80 a.b.\nx.\t5\tIN\tTXT\t\"1.1.0\"\nx.\t5\tIN\tPTR\tc.d.\n"
                                 "x.\t5\tIN\tNS\tns.d.\nx.\t5\tIN\tSOA\tns.dns.d. hostmaster.d. 1 7200 1800 86400 5\n");
    assert_string_equal(more, "a.b.\t5\tIN\tA\t1.2.3.4\n");
    ldns_pkt_free(m);
}

/* 100 endpoints: some of them over UDP, so that resolvers without TCP have something; all over TCP. */
static void what_does_not_fit_is_cut_and_marked(void **state)
{
    (void)state;
    struct dns_question q;
    struct zone_record r[100] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
        r[i] = (struct zone_record){.type = ZONE_A, .ip = 0x0af40000 + i};
    }
    struct zone_answer a = found(r, ARRAY_SIZE(r));
    const size_t rooms[] = {DNS_UDP_PLAIN, DNS_UDP_MAX, DNS_TCP_MAX};
    size_t former = 10;
    ask("db.default.svc.cluster.local.", ZONE_A, 0, &q);
    for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        dns_write_zone(&b, &q, &a, STR("cluster.local"), 1, rooms[i]);
        assert_true(b.size <= rooms[i]);
        ldns_pkt *m = answer_of(&b);
        assert_int_equal(ldns_pkt_tc(m), i < 2);
        assert_true(ldns_pkt_ancount(m) > former);
        former = ldns_pkt_ancount(m);
        ldns_pkt_free(m);
    }
    assert_int_equal(former, 100);
}

static void additional_addresses_go_first(void **state)
{
    (void)state;
    struct dns_question q;
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct zone_record r[20] = {0};
    for (unsigned i = 0; i < ARRAY_SIZE(r); i++) {
        r[i] = i % 2 == 0
                   ? (struct zone_record){.type = ZONE_SRV, .text = STR("some-host.db.default"), .port = 1}
                   : (struct zone_record){.type = ZONE_A, .owner = STR("some-host.db.default"), .additional = true};
    }
    struct zone_answer a = found(r, ARRAY_SIZE(r));
    ask("_pg._tcp.db.default.", ZONE_SRV, 0, &q);
    dns_write_zone(&b, &q, &a, STR("cluster.local"), 1, q.room);
    ldns_pkt *m = answer_of(&b);
    assert_int_equal(ldns_pkt_ancount(m), 10);
    assert_int_equal(ldns_pkt_arcount(m), 0);
    assert_false(ldns_pkt_tc(m));
    ldns_pkt_free(m);
}

/* Nobody checks what users write as an ExternalName as closely as DNS does. */
static void a_name_that_cannot_be_written_is_a_failure(void **state)
{
    (void)state;
    static const char *const names[] = {"a..b", "\\999", "",
                                        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.b"};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        struct dns_question q, chased;
        CLEANUP_BUF struct buf b = BUF_INIT;
        struct zone_record r = {.type = ZONE_CNAME, .text = str_of(names[i])};
        struct zone_answer a = found(&r, 1);
        ask("out.default.svc.cluster.local.", ZONE_A, 0, &q);
        dns_write_zone(&b, &q, &a, STR("cluster.local"), 1, q.room);
        ldns_pkt *m = answer_of(&b);
        assert_int_equal(ldns_pkt_get_rcode(m), DNS_FAILED);
        ldns_pkt_free(m);
        assert_false(dns_question_for(&chased, &q, str_of(names[i])));
    }
}

/* An upstream server's answer to q, with one record of this type and time, or none and an authority. */
static ldns_pkt *upstream(const struct dns_question *q, uint16_t id, const char *record, const char *authority)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    ldns_pkt *m = NULL;
    ldns_rr *rr = NULL;
    dns_write_question(&b, q, id);
    assert_int_equal(ldns_wire2pkt(&m, (const uint8_t *)b.data, b.size), LDNS_STATUS_OK);
    ldns_pkt_set_qr(m, true);
    if (record != NULL) {
        assert_int_equal(ldns_rr_new_frm_str(&rr, record, 0, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(m, LDNS_SECTION_ANSWER, rr);
    }
    if (authority != NULL) {
        assert_int_equal(ldns_rr_new_frm_str(&rr, authority, 0, NULL, NULL), LDNS_STATUS_OK);
        ldns_pkt_push_rr(m, LDNS_SECTION_AUTHORITY, rr);
    }
    return m;
}

static void write_and_free(struct buf *out, ldns_pkt *m)
{
    uint8_t *wire;
    size_t n;
    assert_int_equal(ldns_pkt2wire(&wire, m, &n), LDNS_STATUS_OK);
    buf_append(out, wire, n);
    free(wire);
    ldns_pkt_free(m);
}

static void only_the_answer_to_what_was_asked_is_taken(void **state)
{
    (void)state;
    struct dns_question q, other;
    struct dns_seen seen;
    CLEANUP_BUF struct buf b = BUF_INIT;
    ask("wWw.example.com.", ZONE_A, 1232, &q);
    write_and_free(&b, upstream(&q, 99, "www.example.com. 60 IN A 1.2.3.4", NULL));
    const uint8_t *p = (const uint8_t *)b.data;
    assert_true(dns_read_answer(p, b.size, &q, 99, &seen));
    assert_int_equal(seen.ttl_s, 60);
    assert_int_equal(seen.code, DNS_OK);
    assert_false(dns_read_answer(p, b.size, &q, 98, &seen));
    assert_false(dns_read_answer(p, b.size - 1, &q, 99, &seen));
    ask("www.example.org.", ZONE_A, 1232, &other);
    assert_false(dns_read_answer(p, b.size, &other, 99, &seen));
    ask("www.example.com.", AAAA, 1232, &other);
    assert_false(dns_read_answer(p, b.size, &other, 99, &seen));
    CLEANUP_BUF struct buf asked = BUF_INIT;
    dns_write_question(&asked, &q, 99);
    assert_false(dns_read_answer((const uint8_t *)asked.data, asked.size, &q, 99, &seen)); /* no answer at all */
}

static void no_data_is_kept_as_its_authority_says(void **state)
{
    (void)state;
    static const struct {
        const char *record, *authority;
        uint32_t ttl;
    } rows[] = {{NULL, "example.com. 20 IN SOA a. b. 1 2 3 4 100", 20},
                {NULL, "example.com. 900 IN SOA a. b. 1 2 3 4 10", 10},
                {NULL, "example.com. 900 IN SOA a. b. 1 2 3 4 900", 30},
                {NULL, NULL, 0},
                {NULL, "example.com. 900 IN NS a.", 0},
                {"www.example.com. 900 IN A 1.2.3.4", NULL, 300},
                {"www.example.com. 0 IN A 1.2.3.4", NULL, 0}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct dns_question q;
        struct dns_seen seen;
        CLEANUP_BUF struct buf b = BUF_INIT;
        ask("www.example.com.", ZONE_A, 0, &q);
        write_and_free(&b, upstream(&q, 1, rows[i].record, rows[i].authority));
        assert_true(dns_read_answer((const uint8_t *)b.data, b.size, &q, 1, &seen));
        assert_int_equal(seen.ttl_s, rows[i].ttl);
    }
}

static void what_is_relayed_grows_older_and_keeps_the_askers_case(void **state)
{
    (void)state;
    struct dns_question q, again;
    CLEANUP_BUF struct buf b = BUF_INIT, out = BUF_INIT;
    ask("www.example.com.", ZONE_A, 1232, &q);
    write_and_free(&b, upstream(&q, 99, "www.example.com. 60 IN A 1.2.3.4", NULL));
    ask("WWW.example.com.", ZONE_A, 0, &again);
    assert_true(dns_write_relayed(&out, &again, NULL, (const uint8_t *)b.data, b.size, 25, again.room));
    ldns_pkt *m = answer_of(&out);
    CLEANUP_FREE char *text = ldns_rr_list2str(ldns_pkt_answer(m));
    assert_string_equal(text, "WWW.example.com.\t35\tIN\tA\t1.2.3.4\n");
    CLEANUP_FREE char *asked = ldns_rdf2str(ldns_rr_owner(ldns_rr_list_rr(ldns_pkt_question(m), 0)));
    assert_string_equal(asked, "WWW.example.com.");
    assert_int_equal(ldns_pkt_id(m), 4711);
    assert_false(ldns_pkt_edns(m)); /* it was not asked with OPT */
    ldns_pkt_free(m);
    assert_false(dns_write_relayed(&out, &again, NULL, (const uint8_t *)"junk", 4, 0, 512));
}

static void an_alias_comes_before_what_it_leads_to(void **state)
{
    (void)state;
    struct dns_question q, chased;
    CLEANUP_BUF struct buf b = BUF_INIT, out = BUF_INIT;
    struct zone_record r = {.type = ZONE_CNAME, .text = STR("www.example.com")};
    struct zone_answer a = found(&r, 1);
    ask("out.default.svc.cluster.local.", ZONE_A, 0, &q);
    assert_true(dns_question_for(&chased, &q, STR("www.example.com")));
    write_and_free(&b, upstream(&chased, 99, "www.example.com. 60 IN A 1.2.3.4", NULL));
    assert_true(dns_write_relayed(&out, &q, &a, (const uint8_t *)b.data, b.size, 0, q.room));
    ldns_pkt *m = answer_of(&out);
    CLEANUP_FREE char *text = ldns_rr_list2str(ldns_pkt_answer(m));
    assert_string_equal(text, "out.default.svc.cluster.local.\t5\tIN\tCNAME\twww.example.com.\n"
                              "www.example.com.\t60\tIN\tA\t1.2.3.4\n");
    ldns_pkt_free(m);
}

static void questions_that_are_answered_alike_have_one_key(void **state)
{
    (void)state;
    struct dns_question a, b;
    uint8_t x[DNS_KEY_MAX], y[DNS_KEY_MAX];
    ask("wWw.example.com.", ZONE_A, 1232, &a);
    ask("www.EXAMPLE.com.", ZONE_A, 1400, &b);
    size_t n = dns_key(&a, x);
    assert_int_equal(n, dns_key(&b, y));
    assert_memory_equal(x, y, n);
    ask("www.example.com.", ZONE_A, 0, &b);
    dns_key(&b, y);
    assert_memory_not_equal(x, y, n);
    ask("www.example.com.", AAAA, 1232, &b);
    dns_key(&b, y);
    assert_memory_not_equal(x, y, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_question_is_read),
        cmocka_unit_test(what_is_no_question_is_told_so),
        cmocka_unit_test(a_refusal_repeats_what_was_asked),
        cmocka_unit_test(pointers_in_questions_end),
        cmocka_unit_test(the_case_of_the_question_comes_back),
        cmocka_unit_test(no_name_and_no_data_have_an_authority_of_five_seconds),
        cmocka_unit_test(what_is_not_known_yet_is_a_failure_not_an_answer),
        cmocka_unit_test(all_types_are_written),
        cmocka_unit_test(what_does_not_fit_is_cut_and_marked),
        cmocka_unit_test(additional_addresses_go_first),
        cmocka_unit_test(a_name_that_cannot_be_written_is_a_failure),
        cmocka_unit_test(only_the_answer_to_what_was_asked_is_taken),
        cmocka_unit_test(no_data_is_kept_as_its_authority_says),
        cmocka_unit_test(what_is_relayed_grows_older_and_keeps_the_askers_case),
        cmocka_unit_test(an_alias_comes_before_what_it_leads_to),
        cmocka_unit_test(questions_that_are_answered_alike_have_one_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
