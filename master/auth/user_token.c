#include "master/auth/user_token.h"

#include <assert.h>
#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "master/auth/revoked.h"
#include "master/master.h"

#define PREFIX       "reeve-user."
#define ID_CHARS     10u
#define SECRET_CHARS 32u
#define TOKEN_CHARS  (sizeof PREFIX - 1 + ID_CHARS + 1 + SECRET_CHARS)
#define HASH_CHARS   (2u * SHA256_DIGEST_LENGTH)
#define RECORD_NS    "kube-system"
#define RECORD_TYPE  "reeve.io/user-token"

static_assert(TOKEN_CHARS < USER_TOKEN_SIZE, "it fits");

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool user_token_is(struct str token)
{
    bool is = token.n == TOKEN_CHARS && str_starts(token, STR(PREFIX));
    for (size_t i = sizeof PREFIX - 1; is && i < token.n; i++) {
        is = i == sizeof PREFIX - 1 + ID_CHARS ? token.p[i] == '.' : is_letter(token.p[i]);
    }
    return is;
}

static void hash_of(struct str token, char out[HASH_CHARS + 1])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    SHA256((const uint8_t *)token.p, token.n, hash);
    for (unsigned i = 0; i < sizeof hash; i++) {
        snprintf(out + 2 * i, 3, "%02x", hash[i]);
    }
}

/* ---- Making ---- */

static void set_text(struct arena *a, struct value *data, const char *key, struct str s)
{
    value_set(a, data, key, value_bin(a, s.p, s.n));
}

static void letters_by_chance(const struct env *env, char *out, unsigned n)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    for (unsigned i = 0; i < n; i++) {
        uint8_t byte;
        do {
            env_random(env, &byte, 1);
        } while (byte >= 252); /* 7 * 36: no letter is likelier than another */
        out[i] = letters[byte % 36];
    }
}

int user_token_make(struct master *m, struct txn *t, const char *name, const char *groups, int64_t life_s,
                    char out[USER_TOKEN_SIZE], int64_t *until_s, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf lines = BUF_INIT;
    const struct kind *k = kind_by_id(KIND_SECRET);
    char id[ID_CHARS], secret[SECRET_CHARS], hash[HASH_CHARS + 1];
    struct pki_identity who = {.role = PKI_ROLE_USER};
    int64_t issued_ms;
    arena_init(&a);
    snprintf(who.name, sizeof who.name, "%s", name);
    issued_ms = revoked_stamp(m, &who);
    letters_by_chance(m->env, id, sizeof id);
    letters_by_chance(m->env, secret, sizeof secret);
    snprintf(out, USER_TOKEN_SIZE, PREFIX "%.*s.%.*s", (int)sizeof id, id, (int)sizeof secret, secret);
    hash_of(str_of(out), hash);
    for (const char *g = groups; *g != '\0'; g += strlen(g) + 1) {
        buf_printf(&lines, "%s\n", g);
    }
    struct value *doc = value_map(&a), *metadata = value_ensure_map(&a, doc, "metadata"),
                 *data = value_ensure_map(&a, doc, "data");
    value_set(&a, doc, "apiVersion", value_cstr(&a, k->api_version));
    value_set(&a, doc, "kind", value_cstr(&a, k->name));
    value_set(&a, doc, "type", value_cstr(&a, RECORD_TYPE));
    value_set(&a, metadata, "name", value_strf(&a, "reeve-user-%.*s", (int)sizeof id, id));
    value_set(&a, metadata, "namespace", value_cstr(&a, RECORD_NS));
    set_text(&a, data, "user", str_of(name));
    set_text(&a, data, "groups", buf_str(&lines));
    set_text(&a, data, "sha256", str_of(hash));
    set_text(&a, data, "issued", str_of(arena_printf(&a, "%" PRId64, issued_ms)));
    *until_s = life_s == 0 ? 0 : env_wall_ms(m->env) / 1000 + life_s;
    if (life_s > 0) {
        set_text(&a, data, "until", str_of(arena_printf(&a, "%" PRId64, *until_s)));
    }
    mem_wipe(secret, sizeof secret);
    return txn_create_value(t, k, doc, err);
}

/* ---- Finding ---- */

static struct str data_of(const struct object *o, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(o), "data"), key);
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) ? s : STR_NONE;
}

static int nobody(struct error *err)
{
    return error_set(err, ERR_UNAUTHORIZED,
                     "the token is not valid: it is nobody's, its time is over, or it was revoked");
}

static int add_groups(struct principal *p, struct str lines, struct error *err)
{
    int rv = 0;
    while (lines.n > 0 && rv == 0) {
        const char *end = memchr(lines.p, '\n', lines.n);
        size_t n = end == NULL ? lines.n : (size_t)(end - lines.p);
        rv = n == 0 ? 0 : principal_add_group(p, (struct str){lines.p, n}, err);
        size_t used = MIN(lines.n, n + 1);
        lines = (struct str){lines.p + used, lines.n - used};
    }
    return rv != 0 ? rv : principal_add_group(p, STR("system:authenticated"), err);
}

static int read_record(const struct object *o, struct principal *p, struct error *err)
{
    struct str user = data_of(o, "user"), until = data_of(o, "until");
    *p = (struct principal){.role = PKI_ROLE_USER, .proof = PROOF_TOKEN};
    if (user.n == 0 || user.n > PKI_NAME_MAX || memchr(user.p, '\0', user.n) != NULL ||
        str_starts(user, STR("system:")) || o->uid.n >= sizeof p->token.bound_uid ||
        !str_to_int64(data_of(o, "issued"), &p->facts.issued_ms) ||
        (until.n > 0 && (!str_to_int64(until, &p->token.until_s) || p->token.until_s <= 0))) {
        return nobody(err);
    }
    memcpy(p->name, user.p, user.n);
    p->token.bound = 's';
    snprintf(p->token.name, sizeof p->token.name, "%.*s", STR_ARG(o->name));
    snprintf(p->token.bound_uid, sizeof p->token.bound_uid, "%.*s", STR_ARG(o->uid));
    snprintf(p->token.id, sizeof p->token.id, "%.*s", STR_ARG(o->name));
    snprintf(p->facts.serial, sizeof p->facts.serial, "token"); /* so that revocations of the user's are asked for */
    return add_groups(p, data_of(o, "groups"), err);
}

static bool is_record(const struct object *o)
{
    return o != NULL && !o->deleting && str_is(mp_str(mp_get(object_mp(o), "type")), RECORD_TYPE);
}

int user_token_find(struct master *m, struct str token, struct principal *out, struct error *err)
{
    char name[64], hash[HASH_CHARS + 1];
    snprintf(name, sizeof name, "reeve-user-%.*s", (int)ID_CHARS, token.p + sizeof PREFIX - 1);
    const struct object *o =
        view_get(store_committed(replica_store(m->replica)), kind_by_id(KIND_SECRET), STR(RECORD_NS), str_of(name));
    hash_of(token, hash);
    if (!is_record(o) || data_of(o, "sha256").n != HASH_CHARS ||
        CRYPTO_memcmp(data_of(o, "sha256").p, hash, HASH_CHARS) != 0) {
        return nobody(err);
    }
    int rv = read_record(o, out, err);
    bool over = rv == 0 && out->token.until_s != 0 && out->token.until_s <= env_wall_ms(m->env) / 1000;
    return rv != 0 ? rv : over || revoked_has(m, &out->identity, &out->facts, NULL) ? nobody(err) : 0;
}

int user_token_holds(const struct view *v, const struct principal *p, struct error *err)
{
    const struct object *o = view_get(v, kind_by_id(KIND_SECRET), STR(RECORD_NS), str_of(p->token.name));
    return is_record(o) && str_eq(o->uid, str_of(p->token.bound_uid)) ? 0 : nobody(err);
}
