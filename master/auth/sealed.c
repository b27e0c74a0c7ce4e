#include "master/auth/sealed.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/locked.h"
#include "base/mem.h"
#include "proto/pki/pki.h"

#define SECRET_NS   STR("kube-system")
#define SECRET_NAME STR("reeve-ca")
#define TRIES_MAX   20000u /* sets of parts; of thirteen masters with seven parts there are 1,716 */

/* ---- The Secret ---- */

const struct object *sealed_in(const struct view *v)
{
    return view_get(v, kind_by_id(KIND_SECRET), SECRET_NS, SECRET_NAME);
}

bool sealed_is(const struct object *o)
{
    return o->kind->id == KIND_SECRET && str_eq(o->ns, SECRET_NS) && str_eq(o->name, SECRET_NAME);
}

static struct str field(const struct object *o, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(o), "data"), key);
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) ? s : STR_NONE;
}

static bool number(struct str s, uint64_t *out)
{
    int64_t n;
    bool ok = s.n > 0 && str_to_int64(s, &n) && n >= 0;
    *out = ok ? (uint64_t)n : 0;
    return ok;
}

static bool read_members(struct str s, struct sealed *out)
{
    for (size_t at = 0; at < s.n;) {
        size_t n = 0;
        while (at + n < s.n && s.p[at + n] != ' ') {
            n++;
        }
        if (out->count == SEALED_MEMBERS_MAX || !number((struct str){s.p + at, n}, &out->members[out->count])) {
            return false;
        }
        out->count++;
        at += n + 1;
    }
    return out->count > 0;
}

bool sealed_read(const struct object *o, struct sealed *out)
{
    uint64_t threshold;
    *out = (struct sealed){0};
    if (o == NULL) {
        return false;
    }
    struct str deal = field(o, "deal"), cas = field(o, "ca");
    bool ok = number(field(o, "generation"), &out->generation) && number(field(o, "threshold"), &threshold) &&
              read_members(field(o, "members"), out) && deal.n == PARTS_DEAL_SIZE - 1 && cas.n < sizeof out->cas &&
              threshold >= 1 && threshold <= out->count;
    if (!ok) {
        *out = (struct sealed){0};
        return false;
    }
    out->threshold = (unsigned)threshold;
    out->box = field(o, "box");
    memcpy(out->deal, deal.p, deal.n);
    snprintf(out->cas, sizeof out->cas, "%.*s", STR_ARG(cas));
    return true;
}

unsigned sealed_part_of(const struct sealed *s, uint64_t id)
{
    for (unsigned i = 0; i < s->count; i++) {
        if (s->members[i] == id) {
            return i + 1;
        }
    }
    return 0;
}

static void set_text(struct arena *a, struct value *data, const char *key, const char *text)
{
    value_set(a, data, key, value_bin(a, text, strlen(text)));
}

static struct value *document(struct arena *a, const struct object *old)
{
    if (old != NULL) {
        return object_to_value(a, old);
    }
    struct value *doc = value_map(a), *metadata = value_map(a);
    value_set(a, doc, "apiVersion", value_cstr(a, "v1"));
    value_set(a, doc, "kind", value_cstr(a, "Secret"));
    value_set(a, doc, "metadata", metadata);
    value_set(a, metadata, "name", value_str(a, SECRET_NAME));
    value_set(a, metadata, "namespace", value_str(a, SECRET_NS));
    value_set(a, doc, "type", value_cstr(a, "Opaque"));
    return doc;
}

static void bound_to(const struct sealed *s, char out[64])
{
    snprintf(out, 64, "reeve-ca %" PRIu64 " %s", s->generation, s->deal);
}

static int fill_box(const struct sealed *s, const uint8_t *key, const struct keyring *keys, struct buf *out)
{
    CLEANUP_BUF_WIPE struct buf plain = BUF_INIT;
    char aad[64];
    buf_reserve(&plain, sizeof *keys);
    for (unsigned i = 0; i < SEALED_KEYS_MAX; i++) {
        buf_append(&plain, keys->pem[i], strlen(keys->pem[i]));
    }
    bound_to(s, aad);
    return pki_seal(key, str_of(aad), buf_str(&plain), out);
}

int sealed_put(const struct view *tip, struct txn *t, const struct sealed *s, const uint8_t key[PKI_SHARE_SIZE],
               const struct keyring *keys, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf box = BUF_INIT, members = BUF_INIT;
    const struct kind *k = kind_by_id(KIND_SECRET);
    const struct object *old = sealed_in(tip);
    if (fill_box(s, key, keys, &box) != 0) {
        return error_set(err, ERR_INTERNAL, "the CA's key cannot be sealed");
    }
    arena_init(&a);
    for (unsigned i = 0; i < s->count; i++) {
        buf_printf(&members, "%s%" PRIu64, i == 0 ? "" : " ", s->members[i]);
    }
    struct value *doc = document(&a, old), *data = value_map(&a);
    value_set(&a, doc, "data", data);
    set_text(&a, data, "generation", arena_printf(&a, "%" PRIu64, s->generation));
    set_text(&a, data, "deal", s->deal);
    set_text(&a, data, "threshold", arena_printf(&a, "%u", s->threshold));
    set_text(&a, data, "members", buf_cstr(&members));
    set_text(&a, data, "ca", s->cas);
    value_set(&a, data, "box", value_bin(&a, box.data, box.size));
    return old == NULL ? txn_create_value(t, k, doc, err)
                       : txn_update_value(t, k, doc, TXN_PART_ALL, old->revision, err);
}

/* ---- Opening ---- */

int sealed_open(const struct sealed *s, const uint8_t key[PKI_SHARE_SIZE], struct keyring *out)
{
    static const char end[] = "-----END";
    CLEANUP_BUF_WIPE struct buf plain = BUF_INIT;
    char aad[64];
    bound_to(s, aad);
    int rv = pki_open(key, str_of(aad), s->box, &plain);
    if (rv != 0 || out == NULL) {
        return rv;
    }
    *out = (struct keyring){0};
    const char *p = buf_cstr(&plain);
    for (unsigned i = 0; i < SEALED_KEYS_MAX && *p != '\0'; i++) {
        const char *stop = strstr(p, end), *line = stop == NULL ? NULL : strchr(stop, '\n');
        size_t n = line == NULL ? strlen(p) : (size_t)(line + 1 - p);
        if (n >= SEALED_KEY_SIZE) {
            return ERR_CORRUPT;
        }
        memcpy(out->pem[i], p, n);
        p += n;
    }
    return 0;
}

/* The next set of `size` of `count` numbers, in order; false: that was the last one. */
static bool next_set(unsigned *set, unsigned size, unsigned count)
{
    for (unsigned i = size; i-- > 0;) {
        if (set[i] < count - size + i) {
            set[i]++;
            for (unsigned j = i + 1; j < size; j++) {
                set[j] = set[j - 1] + 1;
            }
            return true;
        }
    }
    return false;
}

static bool opens(const struct sealed *s, const struct pki_share *chosen, uint8_t key[PKI_SHARE_SIZE])
{
    return pki_share_at(chosen, s->threshold, 0, key) && sealed_open(s, key, NULL) == 0;
}

static void judge(const struct pki_share *chosen, unsigned size, const struct pki_share *parts, unsigned count,
                  bool *fits)
{
    uint8_t y[PKI_SHARE_SIZE];
    for (unsigned i = 0; i < count; i++) {
        fits[i] = pki_share_at(chosen, size, parts[i].x, y) && memcmp(y, parts[i].y, sizeof y) == 0;
    }
    mem_wipe(y, sizeof y);
}

bool sealed_join(const struct sealed *s, const struct pki_share *parts, unsigned count, uint8_t key[PKI_SHARE_SIZE],
                 bool *fits)
{
    unsigned set[SEALED_MEMBERS_MAX], tries = 0;
    bool found = false;
    if (s->threshold == 0 || count < s->threshold || count > SEALED_MEMBERS_MAX) {
        return false;
    }
    struct pki_share *chosen = locked_new(s->threshold * sizeof *chosen);
    for (unsigned i = 0; i < s->threshold; i++) {
        set[i] = i;
    }
    do {
        for (unsigned i = 0; i < s->threshold; i++) {
            chosen[i] = parts[set[i]];
        }
        found = opens(s, chosen, key);
    } while (!found && ++tries < TRIES_MAX && next_set(set, s->threshold, count));
    if (found && fits != NULL) {
        judge(chosen, s->threshold, parts, count, fits);
    }
    if (!found) {
        mem_wipe(key, PKI_SHARE_SIZE);
    }
    locked_free(chosen, s->threshold * sizeof *chosen);
    return found;
}

/* ---- Keys ---- */

const char *keyring_find(const struct keyring *k, const char *ca_pem)
{
    for (unsigned i = 0; k != NULL && i < SEALED_KEYS_MAX; i++) {
        if (k->pem[i][0] != '\0' && pki_pair_fits(ca_pem, k->pem[i])) {
            return k->pem[i];
        }
    }
    return NULL;
}

bool keyring_add(struct keyring *k, const char *key_pem)
{
    for (unsigned i = 0; i < SEALED_KEYS_MAX; i++) {
        if (strcmp(k->pem[i], key_pem) == 0) {
            return true;
        }
        if (k->pem[i][0] == '\0' && strlen(key_pem) < SEALED_KEY_SIZE) {
            snprintf(k->pem[i], SEALED_KEY_SIZE, "%s", key_pem);
            return true;
        }
    }
    return false;
}
