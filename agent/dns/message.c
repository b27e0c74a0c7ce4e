#include "agent/dns/message.h"

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <stdlib.h>

#define HEADER_BYTES  12u
#define TTL_MOST_S    300u /* of what is kept of other servers' answers */
#define TTL_NO_NAME_S 30u
#define CLASS_IN      LDNS_RR_CLASS_IN

/* ldns gives NULL only when there is no memory, in which case programs of Reeve end. */
static void *must(void *p)
{
    if (p == NULL) {
        abort();
    }
    return p;
}

/* ---- Questions ---- */

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + 32) : c;
}

/* name and name_bytes are there. */
static bool split(struct dns_question *q)
{
    size_t at = 0;
    q->count = 0;
    for (size_t i = 0; i < q->name_bytes; i++) {
        q->lower[i] = lower(q->name[i]);
    }
    while (at < q->name_bytes && q->name[at] != 0) {
        uint8_t size = q->name[at++];
        if (size > 63 || at + size >= q->name_bytes || q->count == ZONE_LABELS_MAX) {
            return false;
        }
        /* Sizes are below the letters: they are as they were in `lower`. */
        q->labels[q->count++] = (struct str){(const char *)q->lower + at, size};
        at += size;
    }
    return at + 1 == q->name_bytes;
}

static bool take_name(struct dns_question *q, const ldns_rdf *name)
{
    q->name_bytes = name == NULL ? 0 : ldns_rdf_size(name);
    if (q->name_bytes == 0 || q->name_bytes > 255) {
        q->name_bytes = 0;
        return false;
    }
    memcpy(q->name, ldns_rdf_data(name), q->name_bytes);
    return split(q);
}

static enum dns_code take(struct dns_question *q, const ldns_pkt *m)
{
    const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_question(m), 0);
    q->extended = ldns_pkt_edns(m);
    q->dnssec = q->extended && ldns_pkt_edns_do(m);
    q->unchecked = ldns_pkt_cd(m);
    q->room = q->extended ? MIN(MAX((size_t)ldns_pkt_edns_udp_size(m), DNS_UDP_PLAIN), DNS_UDP_MAX) : DNS_UDP_PLAIN;
    if (rr == NULL || ldns_rr_list_rr_count(ldns_pkt_question(m)) != 1 || !take_name(q, ldns_rr_owner(rr))) {
        return DNS_MALFORMED;
    }
    q->type = (uint16_t)ldns_rr_get_type(rr);
    q->class = (uint16_t)ldns_rr_get_class(rr);
    if (q->extended && ldns_pkt_edns_version(m) != 0) {
        return DNS_VERSION;
    }
    bool transfer = q->type == LDNS_RR_TYPE_AXFR || q->type == LDNS_RR_TYPE_IXFR;
    return q->class != CLASS_IN || transfer ? DNS_REFUSED : DNS_OK;
}

bool dns_read_question(const uint8_t *p, size_t n, struct dns_question *out, enum dns_code *code)
{
    ldns_pkt *m = NULL;
    memset(out, 0, sizeof *out);
    out->room = DNS_UDP_PLAIN;
    if (n < HEADER_BYTES || (p[2] & 0x80) != 0) {
        return false;
    }
    out->id = (uint16_t)(p[0] << 8 | p[1]);
    out->operation = p[2] >> 3 & 15;
    out->recursion = (p[2] & 1) != 0;
    *code = DNS_MALFORMED;
    if (out->operation != LDNS_PACKET_QUERY) {
        *code = DNS_NOT_DONE;
    } else if (n <= DNS_QUESTION_MAX && ldns_wire2pkt(&m, p, n) == LDNS_STATUS_OK) {
        *code = take(out, m);
    }
    ldns_pkt_free(m);
    return true;
}

void dns_copy_question(struct dns_question *to, const struct dns_question *from)
{
    *to = *from;
    for (unsigned i = 0; i < from->count; i++) { /* they point into the question */
        to->labels[i].p = (const char *)to->lower + (from->labels[i].p - (const char *)from->lower);
    }
}

bool dns_question_for(struct dns_question *out, const struct dns_question *like, struct str name)
{
    char text[256];
    if (name.n == 0 || name.n >= sizeof text || memchr(name.p, '\\', name.n) != NULL) {
        return false;
    }
    memcpy(text, name.p, name.n);
    text[name.n] = '\0';
    ldns_rdf *r = ldns_dname_new_frm_str(text);
    *out = *like;
    out->class = CLASS_IN;
    bool ok = r != NULL && take_name(out, r);
    ldns_rdf_deep_free(r);
    return ok;
}

size_t dns_key(const struct dns_question *q, uint8_t key[DNS_KEY_MAX])
{
    memcpy(key, q->lower, q->name_bytes);
    key[q->name_bytes] = (uint8_t)(q->type >> 8);
    key[q->name_bytes + 1] = (uint8_t)q->type;
    key[q->name_bytes + 2] = (uint8_t)(q->extended | q->dnssec << 1 | q->unchecked << 2 | q->recursion << 3);
    return q->name_bytes + 3;
}

/* ---- Answers ---- */

static ldns_rdf *name_of(const struct dns_question *q)
{
    return must(ldns_dname_new_frm_data((uint16_t)q->name_bytes, q->name));
}

/* A name that has come from the state: checked there, but for what somebody wrote as an ExternalName. NULL: it cannot
 * be one. */
static ldns_rdf *name_of_text(struct str s)
{
    char text[256];
    if (s.n == 0 || s.n >= sizeof text) {
        return NULL;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return ldns_dname_new_frm_str(text);
}

static ldns_pkt *new_answer(const struct dns_question *q, enum dns_code code)
{
    ldns_pkt *m = must(ldns_pkt_new());
    ldns_pkt_set_id(m, q->id);
    ldns_pkt_set_opcode(m, (ldns_pkt_opcode)q->operation);
    ldns_pkt_set_qr(m, true);
    ldns_pkt_set_rd(m, q->recursion);
    ldns_pkt_set_ra(m, true);
    ldns_pkt_set_cd(m, q->unchecked);
    ldns_pkt_set_rcode(m, (uint8_t)code & 15);
    if (q->name_bytes > 0) {
        ldns_rr *rr = must(ldns_rr_new());
        ldns_rr_set_question(rr, true);
        ldns_rr_set_owner(rr, name_of(q));
        ldns_rr_set_type(rr, (ldns_rr_type)q->type);
        ldns_rr_set_class(rr, (ldns_rr_class)q->class);
        ldns_pkt_push_rr(m, LDNS_SECTION_QUESTION, rr);
    }
    if (q->extended) {
        ldns_pkt_set_edns_udp_size(m, DNS_UDP_MAX);
        ldns_pkt_set_edns_do(m, q->dnssec);
        ldns_pkt_set_edns_extended_rcode(m, (uint8_t)code >> 4);
    }
    return m;
}

static void drop_additional(ldns_pkt *m)
{
    ldns_rr_list_deep_free(ldns_pkt_additional(m));
    ldns_pkt_set_additional(m, must(ldns_rr_list_new()));
    ldns_pkt_set_arcount(m, 0);
}

static void keep_answers(ldns_pkt *m, size_t count)
{
    ldns_rr_list *list = ldns_pkt_answer(m);
    while (ldns_rr_list_rr_count(list) > count) {
        ldns_rr_free(ldns_rr_list_pop_rr(list));
    }
    ldns_pkt_set_ancount(m, (uint16_t)count);
}

/* False: it has `*size` bytes, and nothing was written. */
static bool try_write(struct buf *out, const ldns_pkt *m, size_t room, size_t *size)
{
    uint8_t *wire = NULL;
    *size = 0;
    bool fits = ldns_pkt2wire(&wire, m, size) == LDNS_STATUS_OK && *size <= room;
    if (fits) {
        buf_append(out, wire, *size);
    }
    free(wire);
    return fits;
}

/* What is additional goes first, as the asker can ask for it; then as many answers as do not fit, and it is marked as
 * cut: resolvers ask again over TCP, and those that cannot have some. Frees m. */
static void write_message(struct buf *out, ldns_pkt *m, size_t room)
{
    size_t size, count = ldns_rr_list_rr_count(ldns_pkt_answer(m));
    bool done = try_write(out, m, room, &size);
    if (!done) {
        drop_additional(m);
        done = try_write(out, m, room, &size);
    }
    while (!done && count > 0) {
        count = MIN(count - 1, size == 0 ? 0 : count * room / size);
        keep_answers(m, count);
        ldns_pkt_set_tc(m, true);
        done = try_write(out, m, room, &size);
    }
    if (!done) { /* the authorities of another server's answer */
        ldns_rr_list_deep_free(ldns_pkt_authority(m));
        ldns_pkt_set_authority(m, must(ldns_rr_list_new()));
        ldns_pkt_set_nscount(m, 0);
        ldns_pkt_set_tc(m, true);
        try_write(out, m, DNS_TCP_MAX, &size);
    }
    ldns_pkt_free(m);
}

void dns_write_code(struct buf *out, const struct dns_question *q, enum dns_code code)
{
    write_message(out, new_answer(q, code), DNS_TCP_MAX);
}

static ldns_rdf *number16(uint16_t n)
{
    return must(ldns_native2rdf_int16(LDNS_RDF_TYPE_INT16, n));
}

static bool push_name(ldns_rr *rr, struct str name)
{
    ldns_rdf *r = name_of_text(name);
    return r != NULL && ldns_rr_push_rdf(rr, r);
}

static void push_text(ldns_rr *rr, struct str text)
{
    uint8_t bytes[256];
    size_t n = MIN(text.n, sizeof bytes - 1);
    bytes[0] = (uint8_t)n;
    memcpy(bytes + 1, text.p, n);
    ldns_rr_push_rdf(rr, must(ldns_rdf_new_frm_data(LDNS_RDF_TYPE_STR, n + 1, bytes)));
}

/* RFC 2308: its last number is how long "no such name" may be kept. */
static bool push_authority(ldns_rr *rr, struct str domain, uint32_t serial)
{
    char text[256];
    const uint32_t numbers[] = {serial, 7200, 1800, 86400, ZONE_TTL_S};
    for (unsigned i = 0; i < 2; i++) {
        int n = snprintf(text, sizeof text, "%s.%.*s", i == 0 ? "ns.dns" : "hostmaster", STR_ARG(domain));
        if (n < 0 || (size_t)n >= sizeof text || !push_name(rr, (struct str){text, (size_t)n})) {
            return false;
        }
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        enum ldns_enum_rdf_type kind = i == 0 ? LDNS_RDF_TYPE_INT32 : LDNS_RDF_TYPE_PERIOD;
        ldns_rr_push_rdf(rr, must(ldns_native2rdf_int32(kind, numbers[i])));
    }
    return true;
}

static bool push_data(ldns_rr *rr, const struct zone_record *r, struct str domain, uint32_t serial)
{
    uint32_t ip = htonl(r->ip);
    switch (r->type) {
    case ZONE_A:
        return ldns_rr_push_rdf(rr, must(ldns_rdf_new_frm_data(LDNS_RDF_TYPE_A, sizeof ip, &ip)));
    case ZONE_SRV:
        ldns_rr_push_rdf(rr, number16(0));
        ldns_rr_push_rdf(rr, number16(r->weight));
        ldns_rr_push_rdf(rr, number16(r->port));
        return push_name(rr, r->text);
    case ZONE_TXT:
        push_text(rr, r->text);
        return true;
    case ZONE_SOA:
        return push_authority(rr, domain, serial);
    default:
        return push_name(rr, r->text);
    }
}

/* False: one of its names cannot be written, such as an ExternalName with a label of 100 bytes. */
static bool push_record(ldns_pkt *m, ldns_pkt_section section, const struct dns_question *q,
                        const struct zone_record *r, struct str domain, uint32_t serial)
{
    ldns_rr *rr = must(ldns_rr_new());
    ldns_rdf *owner = r->owner.n == 0 ? name_of(q) : name_of_text(r->owner);
    ldns_rr_set_type(rr, (ldns_rr_type)r->type);
    ldns_rr_set_class(rr, CLASS_IN);
    ldns_rr_set_ttl(rr, ZONE_TTL_S);
    ldns_rr_set_owner(rr, owner);
    if (owner == NULL || !push_data(rr, r, domain, serial)) {
        ldns_rr_free(rr);
        return false;
    }
    return ldns_pkt_push_rr(m, section, rr);
}

void dns_write_zone(struct buf *out, const struct dns_question *q, const struct zone_answer *a, struct str domain,
                    uint32_t serial, size_t room)
{
    enum dns_code code = a->result == ZONE_NO_NAME ? DNS_NO_NAME : a->result == ZONE_UNKNOWN ? DNS_FAILED : DNS_OK;
    ldns_pkt *m = new_answer(q, code);
    bool ok = true;
    ldns_pkt_set_aa(m, a->result != ZONE_UNKNOWN);
    for (const struct zone_record *r = a->records; r != NULL && ok; r = r->next) {
        ok = push_record(m, r->additional ? LDNS_SECTION_ADDITIONAL : LDNS_SECTION_ANSWER, q, r, domain, serial);
    }
    if (a->result == ZONE_NO_NAME || a->result == ZONE_NO_DATA) {
        const struct zone_record soa = {.owner = domain, .type = ZONE_SOA};
        ok = push_record(m, LDNS_SECTION_AUTHORITY, q, &soa, domain, serial);
    }
    if (!ok) {
        ldns_pkt_free(m);
        dns_write_code(out, q, DNS_FAILED);
        return;
    }
    write_message(out, m, room);
}

/* ---- Other servers ---- */

void dns_write_question(struct buf *out, const struct dns_question *q, uint16_t id)
{
    struct dns_question own = *q;
    own.id = id;
    ldns_pkt *m = new_answer(&own, DNS_OK);
    ldns_pkt_set_qr(m, false);
    ldns_pkt_set_ra(m, false);
    write_message(out, m, DNS_TCP_MAX);
}

static bool is_answer_to(const ldns_pkt *m, const struct dns_question *q, uint16_t id)
{
    const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_question(m), 0);
    if (!ldns_pkt_qr(m) || ldns_pkt_id(m) != id || rr == NULL || ldns_rr_list_rr_count(ldns_pkt_question(m)) != 1) {
        return false;
    }
    const ldns_rdf *name = ldns_rr_owner(rr);
    const uint8_t *bytes = ldns_rdf_data(name);
    if (ldns_rdf_size(name) != q->name_bytes || ldns_rr_get_type(rr) != (ldns_rr_type)q->type) {
        return false;
    }
    for (size_t i = 0; i < q->name_bytes; i++) {
        if (lower(bytes[i]) != q->lower[i]) {
            return false;
        }
    }
    return true;
}

/* RFC 2308: an answer without records may be kept as the SOA beside it says. */
static uint32_t ttl_of(const ldns_pkt *m)
{
    uint8_t code = ldns_pkt_get_rcode(m);
    const ldns_rr_list *records = ldns_pkt_answer(m);
    uint32_t ttl = TTL_MOST_S;
    if (code != DNS_OK && code != DNS_NO_NAME) {
        return 0;
    }
    for (size_t i = 0; i < ldns_rr_list_rr_count(records); i++) {
        ttl = MIN(ttl, ldns_rr_ttl(ldns_rr_list_rr(records, i)));
    }
    if (ldns_rr_list_rr_count(records) > 0 && code == DNS_OK) {
        return ttl;
    }
    ttl = 0;
    for (size_t i = 0; i < ldns_rr_list_rr_count(ldns_pkt_authority(m)); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(ldns_pkt_authority(m), i);
        if (ldns_rr_get_type(rr) == LDNS_RR_TYPE_SOA && ldns_rr_rd_count(rr) == 7) {
            ttl = MIN(ldns_rr_ttl(rr), ldns_rdf2native_int32(ldns_rr_rdf(rr, 6)));
        }
    }
    return MIN(ttl, TTL_NO_NAME_S);
}

bool dns_read_answer(const uint8_t *p, size_t n, const struct dns_question *q, uint16_t id, struct dns_seen *out)
{
    ldns_pkt *m = NULL;
    bool ok = ldns_wire2pkt(&m, p, n) == LDNS_STATUS_OK && is_answer_to(m, q, id);
    if (ok) {
        *out = (struct dns_seen){.code = (enum dns_code)ldns_pkt_get_rcode(m), .cut = ldns_pkt_tc(m)};
        out->ttl_s = out->cut ? 0 : ttl_of(m);
    }
    ldns_pkt_free(m);
    return ok;
}

static void copy_section(ldns_pkt *to, ldns_pkt_section section, const ldns_rr_list *from, uint32_t age_s)
{
    for (size_t i = 0; i < ldns_rr_list_rr_count(from); i++) {
        ldns_rr *rr = must(ldns_rr_clone(ldns_rr_list_rr(from, i)));
        uint32_t ttl = ldns_rr_ttl(rr);
        ldns_rr_set_ttl(rr, ttl > age_s ? ttl - age_s : 0);
        ldns_pkt_push_rr(to, section, rr);
    }
}

bool dns_write_relayed(struct buf *out, const struct dns_question *q, const struct zone_answer *a,
                       const uint8_t *answer, size_t n, uint32_t age_s, size_t room)
{
    ldns_pkt *from = NULL;
    if (ldns_wire2pkt(&from, answer, n) != LDNS_STATUS_OK) {
        ldns_pkt_free(from);
        return false;
    }
    ldns_pkt *m = new_answer(q, (enum dns_code)ldns_pkt_get_rcode(from));
    bool ok = true;
    for (const struct zone_record *r = a == NULL ? NULL : a->records; r != NULL && ok; r = r->next) {
        ok = push_record(m, LDNS_SECTION_ANSWER, q, r, STR_NONE, 0);
    }
    if (ok) {
        ldns_pkt_set_ad(m, a == NULL && ldns_pkt_ad(from));
        copy_section(m, LDNS_SECTION_ANSWER, ldns_pkt_answer(from), age_s);
        copy_section(m, LDNS_SECTION_AUTHORITY, ldns_pkt_authority(from), age_s);
        copy_section(m, LDNS_SECTION_ADDITIONAL, ldns_pkt_additional(from), age_s);
        write_message(out, m, room);
    } else {
        ldns_pkt_free(m);
        dns_write_code(out, q, DNS_FAILED);
    }
    ldns_pkt_free(from);
    return true;
}
