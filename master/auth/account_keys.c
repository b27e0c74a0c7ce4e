#include "master/auth/account_keys.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "master/auth/account_token.h"
#include "master/auth/secret_tokens.h"
#include "master/master.h"
#include "proto/facts/cluster.h"

#define RECORD_NS   "kube-system"
#define RECORD_NAME "reeve-account-keys"
#define RECORD_TYPE "reeve.io/account-keys"
#define PEM_MAX     4096u

struct account_keys {
    uint64_t revision; /* of the record that is taken in; 0: none */
    char issuer[300];
    unsigned count; /* by number, the newest last */
    struct jwt_key *keys[ACCOUNT_KEYS_MAX];
    int64_t made_s[ACCOUNT_KEYS_MAX];
    int64_t over_s;      /* when the next one goes; 0: none does */
    int64_t sweep_at_ms; /* not before that */
};

struct account_keys *account_keys_new(void)
{
    return xcalloc(1, sizeof(struct account_keys));
}

static void clear(struct account_keys *k)
{
    for (unsigned i = 0; i < k->count; i++) {
        jwt_key_free(k->keys[i]);
    }
    *k = (struct account_keys){0};
}

void account_keys_free(struct account_keys *k)
{
    if (k != NULL) {
        clear(k);
        free(k);
    }
}

bool account_keys_is_record(const struct object *o)
{
    return o->kind->id == KIND_SECRET && str_is(o->ns, RECORD_NS) && str_is(o->name, RECORD_NAME);
}

static const struct object *record_in(const struct view *v)
{
    return v == NULL ? NULL : view_get(v, kind_by_id(KIND_SECRET), STR(RECORD_NS), STR(RECORD_NAME));
}

/* ---- Reading ---- */

static struct str data_of(const struct object *o, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(o), "data"), key);
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) ? s : STR_NONE;
}

static struct str numbered(const struct object *o, const char *what, int64_t number)
{
    char key[48];
    snprintf(key, sizeof key, "%s.%" PRId64, what, number);
    return data_of(o, key);
}

static int64_t seconds(struct str text)
{
    int64_t s = 0;
    return str_to_int64(text, &s) ? s : 0;
}

/* The N of "key.N"; 0: it is another member. */
static int64_t number_of(struct str key)
{
    int64_t n = 0;
    bool is = str_starts(key, STR("key.")) && str_to_int64((struct str){key.p + 4, key.n - 4}, &n);
    return is && n > 0 ? n : 0;
}

static int by_number(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The greatest ACCOUNT_KEYS_MAX numbers, in their order. */
static unsigned numbers_of(const struct object *o, int64_t out[ACCOUNT_KEYS_MAX])
{
    unsigned count = 0;
    for (struct mp_iter it = mp_iter(mp_get(object_mp(o), "data")); mp_next(&it);) {
        int64_t n = number_of(it.key);
        if (n > 0 && count < ACCOUNT_KEYS_MAX) {
            out[count++] = n;
            qsort(out, count, sizeof *out, by_number);
        } else if (n > out[0]) {
            out[0] = n;
            qsort(out, count, sizeof *out, by_number);
        }
    }
    return count;
}

/* When the key goes; 0: it stays. The newest one stays, whatever is said of it: without it there is none that signs. */
static int64_t over_at(const struct object *o, const int64_t *numbers, unsigned count, unsigned i)
{
    return i + 1 == count ? 0 : seconds(numbered(o, "until", numbers[i]));
}

static struct jwt_key *parse(struct str pem)
{
    char text[PEM_MAX];
    struct jwt_key *key = NULL;
    if (pem.n == 0 || pem.n >= sizeof text) {
        return NULL;
    }
    memcpy(text, pem.p, pem.n);
    text[pem.n] = '\0';
    if (jwt_key_parse(text, &key, NULL) != 0) {
        key = NULL;
    }
    mem_wipe(text, pem.n);
    return key;
}

void account_keys_advance(struct master *m)
{
    struct account_keys *k = m->account_keys;
    const struct object *o = record_in(store_committed(replica_store(m->replica)));
    int64_t numbers[ACCOUNT_KEYS_MAX];
    if (k == NULL || (o == NULL ? 0 : o->revision) == k->revision) {
        return;
    }
    clear(k);
    if (o == NULL) {
        return;
    }
    unsigned count = numbers_of(o, numbers);
    k->revision = o->revision;
    snprintf(k->issuer, sizeof k->issuer, "%.*s", STR_ARG(data_of(o, "issuer")));
    secret_tokens_look(m); /* those of keys that are gone */
    for (unsigned i = 0; i < count; i++) {
        int64_t over_s = over_at(o, numbers, count, i);
        k->over_s = over_s > 0 && (k->over_s == 0 || over_s < k->over_s) ? over_s : k->over_s;
        struct jwt_key *key = parse(numbered(o, "key", numbers[i]));
        if (key == NULL) {
            log_warn(&m->log, "accounts", "key.%" PRId64 " of Secret " RECORD_NS "/" RECORD_NAME " is no key of P-256",
                     numbers[i]);
            continue;
        }
        k->made_s[k->count] = seconds(numbered(o, "made", numbers[i]));
        k->keys[k->count++] = key;
    }
}

const struct jwt_key *account_keys_signer(const struct master *m)
{
    const struct account_keys *k = m->account_keys;
    int64_t spread_s = env_wall_ms(m->env) / 1000 - ACCOUNT_KEYS_SPREAD_S;
    const struct jwt_key *first = NULL;
    for (unsigned i = k == NULL ? 0 : k->count; i > 0; i--) {
        if (!jwt_key_can_sign(k->keys[i - 1])) {
            continue;
        }
        if (k->made_s[i - 1] <= spread_s) {
            return k->keys[i - 1];
        }
        first = k->keys[i - 1]; /* of those that are all new, the oldest */
    }
    return first;
}

const struct jwt_key *const *account_keys_all(const struct master *m, unsigned *count)
{
    const struct account_keys *k = m->account_keys;
    *count = k == NULL ? 0 : k->count;
    return k == NULL ? NULL : (const struct jwt_key *const *)k->keys;
}

const char *account_keys_issuer(const struct master *m)
{
    return m->account_keys == NULL ? "" : m->account_keys->issuer;
}

uint64_t account_keys_revision(const struct master *m)
{
    return m->account_keys == NULL ? 0 : m->account_keys->revision;
}

/* ---- Writing ---- */

static void set_text(struct arena *a, struct value *data, const char *key, struct str s)
{
    value_set(a, data, key, value_bin(a, s.p, s.n));
}

static void set_number(struct arena *a, struct value *data, const char *what, int64_t number, int64_t n)
{
    set_text(a, data, arena_printf(a, "%s.%" PRId64, what, number), str_of(arena_printf(a, "%" PRId64, n)));
}

/* A fresh key as member N. */
static int add_key(struct master *m, struct arena *a, struct value *data, int64_t number, struct error *err)
{
    CLEANUP_BUF struct buf pem = BUF_INIT;
    struct jwt_key *key = NULL;
    int rv = jwt_key_make(&key, err);
    if (rv == 0 && !jwt_key_write_private(key, &pem)) {
        rv = error_set(err, ERR_INTERNAL, "a key for tokens could not be written");
    }
    if (rv == 0) {
        set_text(a, data, arena_printf(a, "key.%" PRId64, number), buf_str(&pem));
        set_number(a, data, "made", number, env_wall_ms(m->env) / 1000);
        mem_wipe(pem.data, pem.size);
    }
    jwt_key_free(key);
    return rv;
}

int account_keys_bootstrap(struct master *m, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    const struct view *tip = store_tip(replica_store(m->replica));
    const struct kind *k = kind_by_id(KIND_SECRET);
    arena_init(&a);
    if (record_in(tip) != NULL) {
        return 0;
    }
    struct value *doc = value_map(&a), *metadata = value_ensure_map(&a, doc, "metadata"),
                 *data = value_ensure_map(&a, doc, "data");
    value_set(&a, doc, "apiVersion", value_cstr(&a, k->api_version));
    value_set(&a, doc, "kind", value_cstr(&a, k->name));
    value_set(&a, doc, "type", value_cstr(&a, RECORD_TYPE));
    value_set(&a, metadata, "name", value_cstr(&a, RECORD_NAME));
    value_set(&a, metadata, "namespace", value_cstr(&a, RECORD_NS));
    set_text(&a, data, "issuer", STR("https://kubernetes.default.svc." CLUSTER_DNS_DOMAIN));
    int rv = add_key(m, &a, data, 1, err);
    return rv != 0 ? rv : txn_create_value(t, k, doc, err);
}

/* Removes the keys that are over from the record's document. How many. */
static unsigned remove_over(struct arena *a, const struct object *o, struct value *data, const int64_t *numbers,
                            unsigned count, int64_t now_s)
{
    static const char *const members[] = {"key", "made", "until"};
    unsigned removed = 0;
    for (unsigned i = 0; i < count; i++) {
        int64_t over_s = over_at(o, numbers, count, i);
        for (unsigned k = 0; over_s > 0 && over_s <= now_s && k < ARRAY_SIZE(members); k++) {
            value_remove(data, arena_printf(a, "%s.%" PRId64, members[k], numbers[i]));
            removed += k == 0;
        }
    }
    return removed;
}

void account_keys_tick(struct master *m)
{
    struct account_keys *k = m->account_keys;
    int64_t now_s = env_wall_ms(m->env) / 1000, numbers[ACCOUNT_KEYS_MAX];
    const struct view *tip = replica_leading(m->replica) ? store_tip(replica_store(m->replica)) : NULL;
    const struct object *o = tip == NULL || k == NULL || k->over_s == 0 || k->over_s > now_s ? NULL : record_in(tip);
    if (o == NULL || o->deleting || env_now_ms(m->env) < k->sweep_at_ms) {
        return;
    }
    CLEANUP_ARENA struct arena a;
    struct error err = {0};
    struct txn t;
    arena_init(&a);
    txn_init(&t, "account-keys");
    struct value *doc = object_to_value(&a, o);
    unsigned count = numbers_of(o, numbers),
             removed = remove_over(&a, o, value_ensure_map(&a, doc, "data"), numbers, count, now_s);
    int rv = removed == 0 ? 0 : txn_update_value(&t, o->kind, doc, TXN_PART_ALL, o->revision, &err);
    rv = rv != 0 || removed == 0 ? rv : replica_submit(m->replica, &t, NULL, NULL, &err);
    txn_close(&t);
    k->sweep_at_ms = env_now_ms(m->env) + ACCOUNT_KEYS_AGAIN_MS;
    if (rv != 0) {
        log_warn(&m->log, "accounts", "keys that are over cannot be taken away now: %s", err.message);
    } else if (removed > 0) {
        log_info(&m->log, "accounts", "%u keys of tokens of service accounts are over and gone", removed);
        master_wake(m);
    }
}

int account_keys_rotate(struct master *m, struct txn *t, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    const struct object *o = record_in(store_tip(replica_store(m->replica)));
    int64_t numbers[ACCOUNT_KEYS_MAX], now_s = env_wall_ms(m->env) / 1000;
    arena_init(&a);
    if (o == NULL) {
        return account_keys_bootstrap(m, t, err);
    }
    struct value *doc = object_to_value(&a, o), *data = value_ensure_map(&a, doc, "data");
    unsigned count = numbers_of(o, numbers), kept = count - remove_over(&a, o, data, numbers, count, now_s);
    for (unsigned i = 0; i < count; i++) {
        if (numbered(o, "until", numbers[i]).n == 0) { /* it signs until all know the next one */
            set_number(&a, data, "until", numbers[i], now_s + ACCOUNT_TOKEN_LIFE_MAX_S + 2 * ACCOUNT_KEYS_SPREAD_S);
        }
    }
    if (kept == ACCOUNT_KEYS_MAX) {
        return error_set(err, ERR_BUSY,
                         "there are %u keys for tokens already, and tokens of the oldest are still valid; it goes %d "
                         "days after the next one came",
                         kept, ACCOUNT_TOKEN_LIFE_MAX_S / 86400);
    }
    int rv = add_key(m, &a, data, count == 0 ? 1 : numbers[count - 1] + 1, err);
    return rv != 0 ? rv : txn_update_value(t, o->kind, doc, TXN_PART_ALL, o->revision, err);
}
