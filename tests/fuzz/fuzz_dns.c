/* DNS messages. The first byte: bit 0, what follows is another server's answer to a fixed question; else it is a
 * question, which is answered from a small cluster, and asked again elsewhere; bits 1 and 2 how much room there is.
 * What is written is read again, and is no longer than there was room for. */
#include <ldns/ldns.h>

#include "agent/dns/message.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void on_put(const struct service_port *p, void *data)
{
    (void)p;
    (void)data;
}

static void on_remove(const char *key, void *data)
{
    (void)key;
    (void)data;
}

#define SERVICE(name, spec)                                                                                            \
    "{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"metadata\":{\"name\":\"" name                                       \
    "\",\"namespace\":\"d\"},\"spec\":{" spec "}}"
static const char cluster
    [] = "{\"whole\":true,\"complete\":true,\"changed\":[" SERVICE("w", "\"clusterIP\":\"10.96.0.7\",\"ports\":[{"
                                                                        "\"name\":\"h\",\"protocol\":\"TCP\",\"port\":"
                                                                        "80}]") "," SERVICE("o", "\"type\":"
                                                                                                 "\"ExternalName\","
                                                                                                 "\"externalName\":\"e."
                                                                                                 "x\"") "," SERVICE(
        "h",
        "\"clusterIP\":\"None\"") ","
                                  "{\"apiVersion\":\"discovery.k8s.io/"
                                  "v1\",\"kind\":\"EndpointSlice\",\"metadata\":{\"name\":\"h-1\",\"namespace\":\"d\","
                                  "\"labels\":{\"kubernetes.io/"
                                  "service-name\":\"h\"}},\"addressType\":\"IPv4\",\"ports\":[{\"name\":\"p\",\"port\":"
                                  "5}],"
                                  "\"endpoints\":[{\"addresses\":[\"10.244.1.1\"],\"hostname\":\"a\"},{\"addresses\":["
                                  "\"10.244.1.2\"]}]}]}";

static const struct zone *zone(void)
{
    static struct zone z = {.domain = {"c.l", 3}, .server = 0x0a60000a};
    if (z.known == NULL) {
        struct known *k = known_new("n1", &(struct known_ops){on_put, on_remove, NULL, NULL, NULL});
        CLEANUP_ARENA struct arena a;
        CLEANUP_BUF struct buf wire = BUF_INIT;
        struct value *v;
        arena_init(&a);
        CHECK(json_read(&a, STR(cluster), &v, NULL) == 0);
        msgpack_write_value(&wire, v);
        known_told(k, mp_of(wire.data, wire.size));
        CHECK(cidr_parse(STR("10.96.0.0/12"), &z.services) && cidr_parse(STR("10.244.0.0/16"), &z.pods));
        z.known = k;
    }
    return &z;
}

static void check_written(const struct buf *b, const struct dns_question *q, size_t room)
{
    ldns_pkt *m = NULL;
    CHECK(b->size <= room);
    CHECK(ldns_wire2pkt(&m, (const uint8_t *)b->data, b->size) == LDNS_STATUS_OK);
    CHECK(ldns_pkt_qr(m) && ldns_pkt_id(m) == q->id);
    ldns_pkt_free(m);
}

static void question(struct str text, size_t room)
{
    struct dns_question q, again;
    struct zone_answer answer;
    enum dns_code code;
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf b = BUF_INIT, asked = BUF_INIT;
    uint8_t key[DNS_KEY_MAX], key_again[DNS_KEY_MAX];
    arena_init(&a);
    if (!dns_read_question((const uint8_t *)text.p, text.n, &q, &code)) {
        return;
    }
    if (code != DNS_OK) {
        dns_write_code(&b, &q, code);
        check_written(&b, &q, DNS_TCP_MAX);
        return;
    }
    CHECK(q.room >= DNS_UDP_PLAIN && q.room <= DNS_UDP_MAX && q.count < ZONE_LABELS_MAX);
    zone_ask(zone(), q.labels, q.count, q.type, text.n, &a, &answer);
    if (answer.result != ZONE_ELSEWHERE && answer.result != ZONE_ALIAS) {
        dns_write_zone(&b, &q, &answer, zone()->domain, 1, room);
        check_written(&b, &q, room);
    }
    dns_write_question(&asked, &q, 7);
    CHECK(dns_read_question((const uint8_t *)asked.data, asked.size, &again, &code) && code == DNS_OK);
    size_t n = dns_key(&q, key);
    CHECK(again.id == 7 && dns_key(&again, key_again) == n && memcmp(key, key_again, n) == 0);
}

static void answer(struct str text, size_t room)
{
    struct dns_question q, like = {.id = 7, .type = ZONE_A, .recursion = true};
    struct dns_seen seen;
    struct zone_record alias = {.type = ZONE_CNAME, .text = STR("e.x")};
    const struct zone_answer before = {.result = ZONE_ALIAS, .records = &alias, .count = 1};
    const uint8_t *p = (const uint8_t *)text.p;
    CLEANUP_BUF struct buf plain = BUF_INIT, behind = BUF_INIT;
    CHECK(dns_question_for(&q, &like, STR("e.x")));
    bool ours = dns_read_answer(p, text.n, &q, 7, &seen);
    if (dns_write_relayed(&plain, &q, NULL, p, text.n, 10, room)) {
        check_written(&plain, &q, room);
        CHECK(dns_write_relayed(&behind, &q, &before, p, text.n, 0, room));
        check_written(&behind, &q, room);
    } else {
        CHECK(!ours);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t rooms[] = {DNS_UDP_PLAIN, DNS_UDP_MAX, DNS_TCP_MAX, DNS_TCP_MAX};
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t head = fuzz_byte(&f);
    struct str text = fuzz_rest(&f);
    if ((head & 1) != 0) {
        answer(text, rooms[head >> 1 & 3]);
    } else {
        question(text, rooms[head >> 1 & 3]);
    }
    return 0;
}
