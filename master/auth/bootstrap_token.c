#include "master/auth/bootstrap_token.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <string.h>

#include "base/timefmt.h"

#define ID_CHARS     6u
#define SECRET_CHARS 16u
#define SEAL_BYTES   16u /* of a SHA-256 */
#define RECORD_NS    "kube-system"
#define RECORD_TYPE  "bootstrap.kubernetes.io/token"
#define USER_PREFIX  "system:bootstrap:"
#define GROUP        "system:bootstrappers"

static bool is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

bool bootstrap_token_is(struct str token)
{
    bool is = token.n == ID_CHARS + 1 + SECRET_CHARS;
    for (size_t i = 0; is && i < token.n; i++) {
        is = i == ID_CHARS ? token.p[i] == '.' : is_letter(token.p[i]);
    }
    return is;
}

static int nobody(struct error *err)
{
    return error_set(err, ERR_UNAUTHORIZED, "the token is not valid: it is no bootstrap token, or its time is over");
}

/* ---- The Secret ---- */

static struct str data_of(const struct object *o, const char *key)
{
    struct mp m = mp_get(mp_get(object_mp(o), "data"), key);
    struct str s = STR_NONE;
    return mp_read_bin(&m, &s) ? s : STR_NONE;
}

/* The Secret of this id if somebody may come with it now. *until_ms 0: it has no end. */
static const struct object *record_of(const struct view *v, struct str id, int64_t now_ms, int64_t *until_ms)
{
    char name[32];
    snprintf(name, sizeof name, "bootstrap-token-%.*s", STR_ARG(id));
    const struct object *o = view_get(v, kind_by_id(KIND_SECRET), STR(RECORD_NS), str_of(name));
    *until_ms = 0;
    if (o == NULL || o->deleting || !str_is(mp_str(mp_get(object_mp(o), "type")), RECORD_TYPE) ||
        !str_eq(data_of(o, "token-id"), id) || !str_is(data_of(o, "usage-bootstrap-authentication"), "true")) {
        return NULL;
    }
    struct str expiration = data_of(o, "expiration");
    bool lives = expiration.n == 0 || (timefmt_parse(expiration, until_ms) && *until_ms > now_ms);
    return lives ? o : NULL;
}

/* By which it is told that the Secret is still the one that proved him: of the token, not the token. */
static void seal_of(struct str id, struct str secret, char out[2 * SEAL_BYTES + 1])
{
    uint8_t hash[SHA256_DIGEST_LENGTH];
    CLEANUP_BUF_WIPE struct buf text = BUF_INIT;
    buf_printf(&text, "%.*s.%.*s", STR_ARG(id), STR_ARG(secret));
    SHA256(text.data, text.size, hash);
    for (unsigned i = 0; i < SEAL_BYTES; i++) {
        snprintf(out + (size_t)(2 * i), 3, "%02x", hash[i]);
    }
}

/* ---- Groups ---- */

static bool is_group(struct str g)
{
    const size_t from = sizeof GROUP; /* with its ":" */
    bool is = str_starts(g, STR(GROUP ":")) && g.n > from && g.n <= from + 256 && is_letter(g.p[g.n - 1]);
    for (size_t i = from; is && i < g.n; i++) {
        is = is_letter(g.p[i]) || g.p[i] == '-' || g.p[i] == ':';
    }
    return is;
}

/* Groups with commas between; one that is none makes the token none, as in Kubernetes. */
static bool add_groups(struct principal *p, struct str list)
{
    bool good = principal_add_group(p, STR(GROUP), NULL) == 0;
    while (good && list.n > 0) {
        const char *comma = memchr(list.p, ',', list.n);
        struct str one = {list.p, comma == NULL ? list.n : (size_t)(comma - list.p)};
        list.p += one.n + (comma != NULL);
        list.n -= one.n + (comma != NULL);
        good = is_group(one) && principal_add_group(p, one, NULL) == 0;
    }
    return good && principal_add_group(p, STR("system:authenticated"), NULL) == 0;
}

/* ---- Who ---- */

int bootstrap_token_find(const struct view *v, struct str token, int64_t now_ms, struct principal *out,
                         struct error *err)
{
    assert(bootstrap_token_is(token));
    struct str id = {token.p, ID_CHARS}, secret = {token.p + ID_CHARS + 1, SECRET_CHARS};
    int64_t until_ms;
    const struct object *o = record_of(v, id, now_ms, &until_ms);
    struct str own = o == NULL ? STR_NONE : data_of(o, "token-secret");
    *out = (struct principal){.role = PKI_ROLE_USER, .proof = PROOF_TOKEN};
    if (own.n != SECRET_CHARS || CRYPTO_memcmp(own.p, secret.p, SECRET_CHARS) != 0 ||
        o->uid.n >= sizeof out->token.bound_uid || !add_groups(out, data_of(o, "auth-extra-groups"))) {
        return nobody(err);
    }
    snprintf(out->name, sizeof out->name, USER_PREFIX "%.*s", STR_ARG(id));
    out->token.until_s = until_ms / 1000;
    out->token.bound = 'b';
    snprintf(out->token.name, sizeof out->token.name, "%.*s", STR_ARG(id));
    snprintf(out->token.bound_uid, sizeof out->token.bound_uid, "%.*s", STR_ARG(o->uid));
    seal_of(id, secret, out->token.id);
    return 0;
}

bool bootstrap_token_proved(const struct principal *p)
{
    return p->proof == PROOF_TOKEN && p->token.bound == 'b';
}

int bootstrap_token_holds(const struct view *v, const struct principal *p, int64_t now_ms, struct error *err)
{
    char seal[2 * SEAL_BYTES + 1];
    int64_t until_ms;
    struct str id = str_of(p->token.name);
    const struct object *o = id.n == ID_CHARS ? record_of(v, id, now_ms, &until_ms) : NULL;
    if (o == NULL || !str_eq(o->uid, str_of(p->token.bound_uid))) {
        return nobody(err);
    }
    seal_of(id, data_of(o, "token-secret"), seal);
    return CRYPTO_memcmp(seal, p->token.id, sizeof seal) == 0 ? 0 : nobody(err);
}
