#include "master/auth/secret_tokens.h"

#include "master/auth/account_token.h"
#include "master/auth/rotate.h"
#include "master/master.h"
#include "proto/facts/account.h"

#define BATCH_MAX 32u /* filled in at a time */

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
    for (unsigned i = 0; i < count && !m->secrets_wait; i++) {
        const struct object *o = changes[i].new;
        m->secrets_wait = o != NULL && ((is_of_type(o) && is_empty(o)) ||
                                        (o->kind->id == KIND_SERVICEACCOUNT && changes[i].old == NULL));
    }
}

static void set_bytes(struct arena *a, struct value *data, const char *key, struct str s)
{
    value_set(a, data, key, value_bin(a, s.p, s.n));
}

static int fill(struct master *m, struct txn *t, const struct object *secret, const struct object *account)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf token = BUF_INIT;
    struct error err = {0};
    arena_init(&a);
    int rv = account_token_for_secret(m, account, secret, &token, &err);
    if (rv != 0) {
        return rv;
    }
    struct value *doc = object_to_value(&a, secret), *data = value_ensure_map(&a, doc, "data"),
                 *metadata = value_ensure_map(&a, doc, "metadata"), *owner = value_map(&a);
    set_bytes(&a, data, "token", buf_str(&token));
    set_bytes(&a, data, "ca.crt", str_of(rotate_trust(m)));
    set_bytes(&a, data, "namespace", secret->ns);
    value_set(&a, value_ensure_map(&a, metadata, "annotations"), SECRET_TOKEN_UID, value_str(&a, account->uid));
    value_set(&a, owner, "apiVersion", value_cstr(&a, account->kind->api_version));
    value_set(&a, owner, "kind", value_cstr(&a, account->kind->name));
    value_set(&a, owner, "name", value_str(&a, account->name));
    value_set(&a, owner, "uid", value_str(&a, account->uid));
    value_append(&a, value_ensure_list(&a, metadata, "ownerReferences"), owner);
    rv = txn_update_value(t, secret->kind, doc, TXN_PART_ALL, secret->revision, &err);
    mem_wipe(token.data, token.size);
    return rv;
}

void secret_tokens_tick(struct master *m)
{
    const struct view *tip = replica_leading(m->replica) ? store_tip(replica_store(m->replica)) : NULL;
    struct error err = {0};
    struct view_iter it;
    struct txn t;
    unsigned count = 0;
    if (tip == NULL || !m->secrets_wait) {
        return;
    }
    m->secrets_wait = false;
    txn_init(&t, "secret-tokens");
    view_iter(&it, tip, kind_by_id(KIND_SECRET), STR_NONE);
    VIEW_FOR(secret, &it)
    {
        const struct object *account = is_of_type(secret) && is_empty(secret) ? account_of(tip, secret) : NULL;
        if (account == NULL) {
            continue;
        }
        if (count == BATCH_MAX || fill(m, &t, secret, account) != 0) {
            m->secrets_wait = true; /* the next time */
            break;
        }
        count++;
    }
    if (count > 0 && replica_submit(m->replica, &t, NULL, NULL, &err) != 0) {
        m->secrets_wait = true;
    }
    txn_close(&t);
    if (count > 0) {
        master_wake(m);
    }
}
