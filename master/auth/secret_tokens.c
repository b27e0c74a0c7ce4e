#include "master/auth/secret_tokens.h"

#include <stdlib.h>
#include <xxhash.h>

#include "master/auth/account_token.h"
#include "master/auth/rotate.h"
#include "master/master.h"
#include "master/warn.h"
#include "proto/facts/account.h"

struct failed {
    uint64_t who; /* hash of the Secret's uid; 0: free */
    int64_t next_ms, pause_ms;
};
struct secret_tokens {
    bool wait;                           /* some may have no token yet: a walk over all is due */
    bool walks;                          /* one has begun and not ended */
    int64_t began_ms;                    /* it did */
    int64_t soonest_ms;                  /* that one of those below is tried again; 0: there is none */
    char after_ns[256], after_name[256]; /* so far it has come; "": nowhere */
    struct failed failed[SECRET_TOKENS_FAILED];
};

struct secret_tokens *secret_tokens_new(void)
{
    return xcalloc(1, sizeof(struct secret_tokens));
}

void secret_tokens_free(struct secret_tokens *s)
{
    free(s);
}

void secret_tokens_look(struct master *m)
{
    if (m->secret_tokens != NULL) {
        m->secret_tokens->wait = true;
    }
}

/* ---- Those that could not be written ---- */

static uint64_t hash_of(const struct object *secret)
{
    uint64_t hash = XXH3_64bits(secret->uid.p, secret->uid.n);
    return hash == 0 ? 1 : hash;
}

static struct failed *find(struct secret_tokens *s, const struct object *secret)
{
    uint64_t who = hash_of(secret);
    for (unsigned i = 0; s->soonest_ms != 0 && i < ARRAY_SIZE(s->failed); i++) {
        if (s->failed[i].who == who) {
            return &s->failed[i];
        }
    }
    return NULL;
}

static void forget(struct failed *f)
{
    if (f != NULL) {
        *f = (struct failed){0};
    }
}

/* A free place, or that of the one which is tried first: it would be tried soon anyhow. */
static struct failed *place(struct secret_tokens *s)
{
    struct failed *best = &s->failed[0];
    for (unsigned i = 1; i < ARRAY_SIZE(s->failed) && best->who != 0; i++) {
        best = s->failed[i].who == 0 || s->failed[i].next_ms < best->next_ms ? &s->failed[i] : best;
    }
    return best;
}

static void note_failure(struct master *m, const struct object *secret, const struct error *why)
{
    struct secret_tokens *s = m->secret_tokens;
    CLEANUP_BUF struct buf text = BUF_INIT;
    struct failed *f = find(s, secret);
    int64_t pause_ms = f == NULL ? SECRET_TOKENS_BACK_MS : MIN(2 * f->pause_ms, (int64_t)SECRET_TOKENS_BACK_MAX_MS);
    f = f == NULL ? place(s) : f;
    *f = (struct failed){hash_of(secret), env_now_ms(m->env) + pause_ms, pause_ms};
    s->soonest_ms = s->soonest_ms == 0 ? f->next_ms : MIN(s->soonest_ms, f->next_ms);
    m->stats.secret_tokens_failed++;
    buf_printf(&text, "no token can be written into it: %s", why->message);
    master_warn(m, secret, "TokenNotWritten", buf_str(&text));
}

/* All were looked at: those that were due when that began and did not come are gone, or have a token. */
static void tidy(struct secret_tokens *s, int64_t began_ms)
{
    s->soonest_ms = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(s->failed); i++) {
        struct failed *f = &s->failed[i];
        if (f->who != 0 && f->next_ms <= began_ms) {
            forget(f);
        } else if (f->who != 0) {
            s->soonest_ms = s->soonest_ms == 0 ? f->next_ms : MIN(s->soonest_ms, f->next_ms);
        }
    }
}

/* ---- Which need one ---- */

static bool is_of_type(const struct object *o)
{
    return o->kind->id == KIND_SECRET && !o->deleting &&
           str_is(mp_str(mp_get(object_mp(o), "type")), SECRET_TOKEN_TYPE);
}

static bool is_empty(const struct object *secret)
{
    struct mp m = mp_get(mp_get(object_mp(secret), "data"), "token");
    struct str s = STR_NONE;
    return !mp_read_bin(&m, &s) || s.n == 0;
}

/* The account that it is about; NULL: it is not there, or another one. */
static const struct object *account_of(const struct view *v, const struct object *secret)
{
    struct str uid = object_annotation(secret, SECRET_TOKEN_UID);
    const struct object *o =
        view_get(v, kind_by_id(KIND_SERVICEACCOUNT), secret->ns, object_annotation(secret, SECRET_TOKEN_ACCOUNT));
    return o == NULL || o->deleting || (uid.n > 0 && !str_eq(uid, o->uid)) ? NULL : o;
}

void secret_tokens_on_tip(struct master *m, const struct change *changes, unsigned count)
{
    struct secret_tokens *s = m->secret_tokens;
    for (unsigned i = 0; s != NULL && i < count; i++) {
        const struct object *o = changes[i].new;
        if (o != NULL && is_of_type(o) && is_empty(o)) {
            forget(find(s, o)); /* whoever changed it may have made room */
            s->wait = true;
        } else if (o != NULL && o->kind->id == KIND_SERVICEACCOUNT && changes[i].old == NULL) {
            s->wait = true;
        }
    }
}

/* ---- Filling in ---- */

static void set_bytes(struct arena *a, struct value *data, const char *key, struct str s)
{
    value_set(a, data, key, value_bin(a, s.p, s.n));
}

static bool has_owner(const struct value *owners, struct str uid)
{
    return value_find(owners, "uid", uid) != NULL;
}

static int fill(struct master *m, struct txn *t, const struct object *secret, const struct object *account,
                struct error *err)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf token = BUF_INIT;
    arena_init(&a);
    int rv = account_token_for_secret(m, account, secret, &token, err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = object_to_value(&a, secret), *data = value_ensure_map(&a, doc, "data"),
                 *metadata = value_ensure_map(&a, doc, "metadata"), *owner = value_map(&a);
    set_bytes(&a, data, "token", buf_str(&token));
    set_bytes(&a, data, "ca.crt", str_of(rotate_trust(m)));
    set_bytes(&a, data, "namespace", secret->ns);
    value_set(&a, value_ensure_map(&a, metadata, "annotations"), SECRET_TOKEN_UID, value_str(&a, account->uid));
    if (!has_owner(value_get(metadata, "ownerReferences"), account->uid)) {
        value_set(&a, owner, "apiVersion", value_cstr(&a, account->kind->api_version));
        value_set(&a, owner, "kind", value_cstr(&a, account->kind->name));
        value_set(&a, owner, "name", value_str(&a, account->name));
        value_set(&a, owner, "uid", value_str(&a, account->uid));
        value_append(&a, value_ensure_list(&a, metadata, "ownerReferences"), owner);
    }
    rv = txn_update_value(t, secret->kind, doc, TXN_PART_ALL, secret->revision, err);
    mem_wipe(token.data, token.size);
    return rv;
}

/* False: none can be written now, so that the walk ends. */
static bool fill_one(struct master *m, const struct object *secret, const struct object *account)
{
    struct txn t;
    struct error err = {0};
    txn_init(&t, "secret-tokens");
    int rv = fill(m, &t, secret, account, &err);
    rv = rv != 0 ? rv : replica_submit(m->replica, &t, NULL, NULL, &err);
    txn_close(&t);
    if (rv == 0) {
        forget(find(m->secret_tokens, secret));
    } else if (err_class(rv) == ERR_CLASS_RETRY || rv == ERR_NO_SPACE) {
        return false;
    } else {
        note_failure(m, secret, &err);
    }
    return true;
}

/* The walk goes on from here, so that those in front that fail again and again keep nobody waiting. */
static void note_place(struct secret_tokens *s, const struct object *last)
{
    s->after_ns[0] = s->after_name[0] = '\0';
    if (last != NULL && last->ns.n < sizeof s->after_ns && last->name.n < sizeof s->after_name) {
        memcpy(s->after_ns, last->ns.p, last->ns.n);
        s->after_ns[last->ns.n] = '\0';
        memcpy(s->after_name, last->name.p, last->name.n);
        s->after_name[last->name.n] = '\0';
    }
}

/* May it be filled, as far as is to be seen in it? *looks is how many tokens were read. */
static bool needs_one(const struct master *m, const struct object *secret, unsigned *looks)
{
    if (!is_of_type(secret)) {
        return false;
    }
    if (is_empty(secret)) {
        return true;
    }
    ++*looks;
    return account_token_outlived(m, secret);
}

/* From where the last one ended. True: it has come to the end. *tried is how many were written, or could not be. */
static bool walk(struct master *m, const struct view *v, int64_t now_ms, unsigned *tried)
{
    struct secret_tokens *s = m->secret_tokens;
    const struct kind *k = kind_by_id(KIND_SECRET);
    struct view_iter it;
    unsigned looks = 0;
    if (s->after_name[0] != '\0') {
        view_iter_after(&it, v, k, STR_NONE, str_of(s->after_ns), str_of(s->after_name));
    } else {
        view_iter(&it, v, k, STR_NONE);
    }
    for (const struct object *secret; (secret = view_next(&it)) != NULL;) {
        const struct object *account = needs_one(m, secret, &looks) ? account_of(v, secret) : NULL;
        const struct failed *f = account == NULL ? NULL : find(s, secret);
        if (account != NULL && (f == NULL || f->next_ms <= now_ms)) {
            if (*tried == SECRET_TOKENS_BATCH || !fill_one(m, secret, account)) {
                return false;
            }
            ++*tried;
            note_place(s, secret);
        }
        if (looks == SECRET_TOKENS_LOOKS) {
            note_place(s, secret);
            return false;
        }
    }
    return true;
}

bool secret_tokens_tick(struct master *m)
{
    struct secret_tokens *s = m->secret_tokens;
    int64_t now_ms = env_now_ms(m->env);
    if (s == NULL || !replica_leading(m->replica) || store_tip(replica_store(m->replica)) == NULL ||
        (!s->walks && !s->wait && (s->soonest_ms == 0 || now_ms < s->soonest_ms))) {
        return true;
    }
    struct view *v = view_ref(store_tip(replica_store(m->replica))); /* what is written moves the tip */
    unsigned tried = 0;
    if (!s->walks) { /* what comes from now on is for the next walk: it may stand before the place of this one */
        s->walks = true;
        s->wait = false;
        s->began_ms = now_ms;
    }
    bool over = walk(m, v, now_ms, &tried);
    if (over) {
        s->walks = false;
        note_place(s, NULL);
        tidy(s, s->began_ms);
    }
    view_unref(v);
    if (tried > 0) {
        master_wake(m);
    }
    return over;
}
