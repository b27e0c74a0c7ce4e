#include "raft-store/raft/raft_codec.h"

#include <assert.h>
#include <string.h>

#include "base/le.h"

/* ---- Writing ---- */

static void write_all(struct buf *b, const uint64_t *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        mp_write_uint(b, fields[i]);
    }
}
#define WRITE(b, ...)                                                                                                  \
    do {                                                                                                               \
        const uint64_t fields_[] = {__VA_ARGS__};                                                                      \
        write_all(b, fields_, sizeof fields_ / sizeof fields_[0]);                                                     \
    } while (0)

static void write_entries(struct buf *b, const struct raft_append_entries *a)
{
    mp_write_array(b, a->n_entries);
    for (unsigned i = 0; i < a->n_entries; i++) {
        const struct raft_entry *e = &a->entries[i];
        assert(e->buf.len % 8 == 0);
        mp_write_array(b, 3);
        mp_write_uint(b, e->term);
        mp_write_uint(b, (uint64_t)e->type);
        mp_write_bin(b, e->buf.base, e->buf.len);
    }
}

static void write_configuration(struct buf *b, const struct raft_configuration *c)
{
    mp_write_array(b, c->n);
    for (unsigned i = 0; i < c->n; i++) {
        mp_write_array(b, 3);
        mp_write_uint(b, c->servers[i].id);
        mp_write_cstr(b, c->servers[i].address);
        mp_write_uint(b, (uint64_t)c->servers[i].role);
    }
}

size_t raft_codec_size(const struct raft_message *m)
{
    size_t size = 128;
    if (m->type == RAFT_APPEND_ENTRIES) {
        for (unsigned i = 0; i < m->append_entries.n_entries; i++) {
            size += m->append_entries.entries[i].buf.len + 24;
        }
    }
    return size;
}

void raft_codec_write(struct buf *b, const struct raft_message *m)
{
    size_t start = b->size;
    switch (m->type) {
    case RAFT_REQUEST_VOTE: {
        const struct raft_request_vote *r = &m->request_vote;
        mp_write_array(b, 8);
        WRITE(b, m->type, r->version, r->term, r->candidate_id, r->last_log_index, r->last_log_term, r->disrupt_leader,
              r->pre_vote);
        break;
    }
    case RAFT_REQUEST_VOTE_RESULT: {
        const struct raft_request_vote_result *r = &m->request_vote_result;
        mp_write_array(b, 7);
        WRITE(b, m->type, r->version, r->term, r->vote_granted, r->pre_vote, r->features, r->capacity);
        break;
    }
    case RAFT_APPEND_ENTRIES: {
        const struct raft_append_entries *a = &m->append_entries;
        mp_write_array(b, 7);
        WRITE(b, m->type, a->version, a->term, a->prev_log_index, a->prev_log_term, a->leader_commit);
        write_entries(b, a);
        break;
    }
    case RAFT_APPEND_ENTRIES_RESULT: {
        const struct raft_append_entries_result *r = &m->append_entries_result;
        mp_write_array(b, 7);
        WRITE(b, m->type, r->version, r->term, r->rejected, r->last_log_index, r->features, r->capacity);
        break;
    }
    case RAFT_INSTALL_SNAPSHOT: {
        const struct raft_install_snapshot *s = &m->install_snapshot;
        mp_write_array(b, 8);
        WRITE(b, m->type, s->version, s->term, s->last_index, s->last_term, s->conf_index, s->data.len);
        write_configuration(b, &s->conf);
        break;
    }
    case RAFT_TIMEOUT_NOW: {
        const struct raft_timeout_now *t = &m->timeout_now;
        mp_write_array(b, 5);
        WRITE(b, m->type, t->version, t->term, t->last_log_index, t->last_log_term);
        break;
    }
    }
    assert(b->size > start);
    assert(m->type == RAFT_INSTALL_SNAPSHOT || b->size - start <= raft_codec_size(m));
}

/* ---- Reading ---- */

static bool read_all(struct mp *m, uint64_t *fields, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (!mp_read_uint(m, &fields[i])) {
            return false;
        }
    }
    return true;
}

/* A configuration as libraft writes it into log entries: format 1, count, then per server id, address with its NUL,
 * role; zeros up to a multiple of 8. libraft's decoder believes all of it, and gives up for good on an id or an
 * address that is there twice. */
static bool configuration_is_sound(struct str s)
{
    static const uint8_t nobody[8];
    const uint8_t *p = (const uint8_t *)s.p, *end = p + s.n, *seen[RAFT_CODEC_MEMBERS_MAX];
    uint64_t count;
    if (s.n < 9 || *p++ != 1) {
        return false;
    }
    count = le_load_u64(p);
    p += 8;
    if (count > RAFT_CODEC_MEMBERS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        const uint8_t *nul = end - p < 8 ? NULL : memchr(p + 8, 0, (size_t)(end - p) - 8);
        if (nul == NULL || nul - p > 8 + 299 || end - nul < 2 || nul[1] > RAFT_SPARE || memcmp(p, nobody, 8) == 0) {
            return false;
        }
        for (unsigned k = 0; k < i; k++) {
            if (memcmp(seen[k], p, 8) == 0 || strcmp((const char *)seen[k] + 8, (const char *)p + 8) == 0) {
                return false;
            }
        }
        seen[i] = p;
        p = nul + 2;
    }
    return end - p < 8;
}

/* Walks over the entries once to know what they take, without touching memory of ours. */
static bool measure_entries(struct mp m, uint32_t *count, size_t *bytes)
{
    *bytes = 0;
    if (!mp_read_array(&m, count) || *count > RAFT_CODEC_ENTRIES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < *count; i++) {
        uint32_t n;
        uint64_t fields[2];
        struct str data;
        if (!mp_read_array(&m, &n) || n != 3 || !read_all(&m, fields, 2) || !mp_read_bin(&m, &data)) {
            return false;
        }
        if (fields[0] == 0 || fields[1] < RAFT_COMMAND || fields[1] > RAFT_CHANGE || data.n == 0 || data.n % 8 != 0 ||
            (fields[1] == RAFT_CHANGE && !configuration_is_sound(data))) {
            return false;
        }
        *bytes += data.n;
    }
    return m.p == m.end;
}

static bool read_entries(struct mp m, struct raft_append_entries *a)
{
    uint32_t count;
    size_t bytes;
    if (!measure_entries(m, &count, &bytes)) {
        return false;
    }
    assert(count <= RAFT_CODEC_ENTRIES_MAX && (count == 0) == (bytes == 0));
    a->n_entries = count;
    a->entries = NULL;
    if (count == 0) {
        return true;
    }
    a->entries = raft_malloc(count * sizeof *a->entries);
    uint8_t *batch = raft_malloc(bytes == 0 ? 8 : bytes);
    assert(a->entries != NULL && batch != NULL);
    mp_read_array(&m, &count);
    size_t offset = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n;
        uint64_t fields[2] = {0};
        struct str data = STR_NONE;
        bool ok = mp_read_array(&m, &n) && read_all(&m, fields, 2) && mp_read_bin(&m, &data);
        assert(ok); /* measured above */
        (void)ok;
        if (data.n > 0) {
            memcpy(batch + offset, data.p, data.n);
        }
        a->entries[i] = (struct raft_entry){
            .term = fields[0],
            .type = (enum raft_entry_type)fields[1],
            .buf = {batch + offset, data.n},
            .batch = batch,
        };
        offset += data.n;
    }
    assert(offset == bytes);
    return true;
}

static bool read_configuration(struct mp m, struct raft_configuration *c)
{
    uint32_t count;
    raft_configuration_init(c);
    if (!mp_read_array(&m, &count) || count > RAFT_CODEC_MEMBERS_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t n;
        uint64_t id, role;
        struct str address;
        char text[300];
        if (!mp_read_array(&m, &n) || n != 3 || !mp_read_uint(&m, &id) || !mp_read_str(&m, &address) ||
            !mp_read_uint(&m, &role) || id == 0 || role > RAFT_SPARE || address.n >= sizeof text ||
            memchr(address.p, '\0', address.n) != NULL) {
            raft_configuration_close(c);
            return false;
        }
        memcpy(text, address.p, address.n);
        text[address.n] = '\0';
        if (raft_configuration_add(c, id, text, (int)role) != 0) {
            raft_configuration_close(c);
            return false;
        }
    }
    if (m.p != m.end) {
        raft_configuration_close(c);
        return false;
    }
    assert(c->n == count && count <= RAFT_CODEC_MEMBERS_MAX);
    return true;
}

static bool is_bool(uint64_t v)
{
    return v <= 1;
}

static bool read_fields(struct mp m, uint32_t count, struct raft_message *out)
{
    uint64_t f[7] = {0};
    uint64_t type;
    if (!mp_read_uint(&m, &type)) {
        return false;
    }
    out->type = (enum raft_message_type)type;
    switch (type) {
    case RAFT_REQUEST_VOTE:
        out->request_vote = (struct raft_request_vote){0};
        if (count != 8 || !read_all(&m, f, 7) || f[0] > 255 || !is_bool(f[5]) || !is_bool(f[6])) {
            return false;
        }
        out->request_vote =
            (struct raft_request_vote){(unsigned char)f[0], f[1], f[2], f[3], f[4], f[5] != 0, f[6] != 0};
        return m.p == m.end;
    case RAFT_REQUEST_VOTE_RESULT:
        if (count != 7 || !read_all(&m, f, 6) || f[0] > 255 || !is_bool(f[2]) || !is_bool(f[3]) || f[4] > 65535 ||
            f[5] > 65535) {
            return false;
        }
        out->request_vote_result = (struct raft_request_vote_result){
            (unsigned char)f[0], f[1], f[2] != 0, f[3] != 0, (unsigned short)f[4], (unsigned short)f[5]};
        return m.p == m.end;
    case RAFT_APPEND_ENTRIES:
        if (count != 7 || !read_all(&m, f, 5) || f[0] > 255) {
            return false;
        }
        out->append_entries = (struct raft_append_entries){(unsigned char)f[0], f[1], f[2], f[3], f[4], NULL, 0};
        return read_entries(m, &out->append_entries);
    case RAFT_APPEND_ENTRIES_RESULT:
        if (count != 7 || !read_all(&m, f, 6) || f[0] > 255 || f[4] > 65535 || f[5] > 65535) {
            return false;
        }
        out->append_entries_result = (struct raft_append_entries_result){
            (unsigned char)f[0], f[1], f[2], f[3], (unsigned short)f[4], (unsigned short)f[5]};
        return m.p == m.end;
    case RAFT_INSTALL_SNAPSHOT:
        if (count != 8 || !read_all(&m, f, 6) || f[0] > 255 || f[5] > RAFT_CODEC_SNAPSHOT_MAX) {
            return false;
        }
        out->install_snapshot = (struct raft_install_snapshot){.version = (unsigned char)f[0],
                                                               .term = f[1],
                                                               .last_index = f[2],
                                                               .last_term = f[3],
                                                               .conf_index = f[4],
                                                               .data = {NULL, f[5]}};
        return read_configuration(m, &out->install_snapshot.conf);
    case RAFT_TIMEOUT_NOW:
        if (count != 5 || !read_all(&m, f, 4) || f[0] > 255) {
            return false;
        }
        out->timeout_now = (struct raft_timeout_now){(unsigned char)f[0], f[1], f[2], f[3]};
        return m.p == m.end;
    default:
        return false;
    }
}

int raft_codec_read(struct mp m, struct raft_message *out, struct error *err)
{
    uint32_t count;
    memset(out, 0, sizeof *out);
    if (!mp_read_array(&m, &count) || count < 2 || !read_fields(m, count, out)) {
        return error_set(err, ERR_PROTOCOL, "malformed raft message");
    }
    assert(out->type != RAFT_APPEND_ENTRIES ||
           (out->append_entries.n_entries == 0) == (out->append_entries.entries == NULL));
    return 0;
}

void raft_codec_free(struct raft_message *m)
{
    if (m->type == RAFT_APPEND_ENTRIES && m->append_entries.n_entries > 0) {
        assert(m->append_entries.entries != NULL && m->append_entries.entries[0].batch != NULL);
        raft_free(m->append_entries.entries[0].batch);
        raft_free(m->append_entries.entries);
    } else if (m->type == RAFT_INSTALL_SNAPSHOT) {
        raft_configuration_close(&m->install_snapshot.conf);
        raft_free(m->install_snapshot.data.base);
    }
    memset(m, 0, sizeof *m);
}
