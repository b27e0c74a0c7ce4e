/* Tokens over HTTP: a TokenRequest (the subresource `token` of service accounts), a TokenReview, and what others need
 * who want to verify tokens themselves: the documents of OpenID Connect Discovery 1.0 and RFC 7517, as Kubernetes
 * serves them. */
#include "master/auth/account_keys.h"
#include "master/auth/bearer.h"
#include "master/rest/call.h"
#include "proto/text/text.h"

static int not_text(struct error *err, const char *field)
{
    return error_set_field(err, ERR_USAGE, field, "%s must be a text", field);
}

/* A text of the body, or none; borrowed from the arena. */
static int read_text(const struct value *map, const char *key, const char *field, struct str *out, struct error *err)
{
    const struct value *v = value_get(map, key);
    *out = value_to_str(v);
    return value_is_null(v) || value_is_str(v) ? 0 : not_text(err, field);
}

static int read_audiences(const struct value *list, struct str out[API_AUDIENCES_MAX], unsigned *count,
                          struct error *err)
{
    *count = 0;
    if (!value_is_null(list) && (!value_is_list(list) || value_count(list) > API_AUDIENCES_MAX)) {
        return error_set_field(err, ERR_USAGE, "spec.audiences", "spec.audiences must be a list of at most %u texts",
                               API_AUDIENCES_MAX);
    }
    VALUE_FOR(i, list)
    {
        if (!value_is_str(value_item(list, i))) {
            return not_text(err, "spec.audiences");
        }
        out[(*count)++] = value_to_str(value_item(list, i));
    }
    return 0;
}

/* The body of a document of this kind; the address has no name, or its. */
static int read_document(struct rest_call *c, struct arena *a, const char *wanted, struct value **doc,
                         struct error *err)
{
    int rv = rest_read_body(c, a, doc, err);
    struct str name = value_path_str(*doc, "metadata.name"), kind = value_path_str(*doc, "kind");
    if (rv == 0 && !value_is_map(*doc)) {
        return error_set(err, ERR_USAGE, "the body must be an object");
    }
    if (rv == 0 && kind.n > 0 && !str_is(kind, wanted)) {
        return error_set(err, ERR_USAGE, "the body must be a %s", wanted);
    }
    if (rv == 0 && name.n > 0 && c->path.name.n > 0 && !str_eq(name, c->path.name)) {
        return error_set(err, ERR_USAGE, "the name of the provided object does not match the name on the URL");
    }
    return rv;
}

int rest_make_account_token(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct api_account_token *t = &q->account_token;
    struct value *doc = NULL;
    int rv = read_document(c, a, "TokenRequest", &doc, err);
    const struct value *spec = value_get(doc, "spec"), *bound = value_get(spec, "boundObjectRef"),
                       *life = value_get(spec, "expirationSeconds");
    q->verb = API_ACCOUNT_TOKEN;
    *t = (struct api_account_token){.ns = c->path.ns, .name = c->path.name};
    if (rv == 0 && !value_is_null(life) && life->type != VALUE_INT) {
        rv = error_set_field(err, ERR_USAGE, "spec.expirationSeconds", "spec.expirationSeconds must be a number");
    }
    rv = rv != 0 ? rv : read_audiences(value_get(spec, "audiences"), t->audiences, &t->audiences_count, err);
    rv = rv != 0 ? rv : read_text(bound, "kind", "spec.boundObjectRef.kind", &t->bound_kind, err);
    rv = rv != 0 ? rv : read_text(bound, "name", "spec.boundObjectRef.name", &t->bound_name, err);
    rv = rv != 0 ? rv : read_text(bound, "uid", "spec.boundObjectRef.uid", &t->bound_uid, err);
    t->expiration_s = value_is_null(life) ? 0 : value_to_int(life, 0) == 0 ? -1 : value_to_int(life, 0);
    return rv;
}

static void put(struct buf *out, const char *key, struct str text)
{
    buf_printf(out, "\"%s\":", key);
    json_write_text(out, text);
}

static void put_bound(struct buf *out, const struct api_account_token *t)
{
    if (t->bound_kind.n > 0) {
        buf_puts(out, ",\"boundObjectRef\":{");
        put(out, "kind", t->bound_kind);
        buf_puts(out, ",\"apiVersion\":\"v1\",");
        put(out, "name", t->bound_name);
        if (t->bound_uid.n > 0) {
            buf_putc(out, ',');
            put(out, "uid", t->bound_uid);
        }
        buf_putc(out, '}');
    }
}

static void tell_account_token(struct rest_call *c, struct mp m)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    struct api_request q = {0};
    struct mp audiences = mp_get(m, "audiences");
    if (rest_make_account_token(c, &c->e.arena, &q, NULL) != 0) {
        rest_answer_failure(c, 500, "a token was made, and the request cannot be read again");
        return;
    }
    buf_puts(&body, "{\"kind\":\"TokenRequest\",\"apiVersion\":\"authentication.k8s.io/v1\",\"metadata\":{");
    put(&body, "name", c->path.name);
    buf_putc(&body, ',');
    put(&body, "namespace", c->path.ns);
    buf_puts(&body, "},\"spec\":{\"audiences\":");
    json_write_mp(&body, &audiences);
    buf_printf(&body, ",\"expirationSeconds\":%lld", (long long)mp_int(mp_get(m, "expirationSeconds"), 0));
    put_bound(&body, &q.account_token);
    buf_puts(&body, "},\"status\":{");
    put(&body, "token", mp_str(mp_get(m, "token")));
    buf_putc(&body, ',');
    put(&body, "expirationTimestamp", mp_str(mp_get(m, "expirationTimestamp")));
    buf_puts(&body, "}}");
    rest_answer(c, 201, NULL, &body);
    mem_wipe(body.data, body.size);
}

/* ---- TokenReview ---- */

int rest_make_token_review(struct rest_call *c, struct arena *a, struct api_request *q, struct error *err)
{
    struct api_token_review *t = &q->token_review;
    struct value *doc = NULL;
    int rv = read_document(c, a, "TokenReview", &doc, err);
    const struct value *spec = value_get(doc, "spec");
    q->verb = API_TOKEN_REVIEW;
    *t = (struct api_token_review){0};
    rv = rv != 0 ? rv : read_text(spec, "token", "spec.token", &t->token, err);
    if (rv == 0 && t->token.n == 0) {
        rv = error_set_field(err, ERR_USAGE, "spec.token", "token is required for TokenReview in authentication");
    }
    return rv != 0 ? rv : read_audiences(value_get(spec, "audiences"), t->audiences, &t->audiences_count, err);
}

static void write_more(struct buf *out, struct mp user)
{
    struct mp extra = mp_get(user, "extra");
    if (mp_str(mp_get(user, "uid")).n > 0) {
        buf_putc(out, ',');
        put(out, "uid", mp_str(mp_get(user, "uid")));
    }
    if (mp_type(extra) == MP_MAP) {
        buf_puts(out, ",\"extra\":");
        json_write_mp(out, &extra);
    }
}

/* The token itself is not told again. */
static void tell_token_review(struct rest_call *c, struct mp m)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    bool good = mp_bool(mp_get(m, "authenticated"), false);
    struct mp user = mp_get(m, "user"), groups = mp_get(user, "groups"), audiences = mp_get(m, "audiences");
    buf_printf(&body,
               "{\"kind\":\"TokenReview\",\"apiVersion\":\"authentication.k8s.io/v1\",\"metadata\":{},\"spec\":{},"
               "\"status\":{\"authenticated\":%s",
               good ? "true" : "false");
    if (good) {
        buf_puts(&body, ",\"user\":{");
        put(&body, "username", mp_str(mp_get(user, "username")));
        buf_puts(&body, ",\"groups\":");
        json_write_mp(&body, &groups);
        write_more(&body, user);
        buf_puts(&body, "},\"audiences\":");
        json_write_mp(&body, &audiences);
    } else {
        buf_putc(&body, ',');
        put(&body, "error", mp_str(mp_get(m, "error")));
    }
    buf_puts(&body, "}}");
    rest_answer(c, 201, NULL, &body);
}

void rest_tell_token(struct rest_call *c, struct mp document)
{
    if (c->what == REST_DO_ACCOUNT_TOKEN) {
        tell_account_token(c, document);
    } else {
        tell_token_review(c, document);
    }
}

/* ---- OpenID ---- */

static void write_keys(struct rest_call *c, struct buf *out)
{
    unsigned count;
    struct arena *a = &c->e.arena;
    const struct jwt_key *const *keys = account_keys_all(c->e.api.m, &count);
    struct value *doc = value_map(a), *list = value_ensure_list(a, doc, "keys");
    for (unsigned i = 0; i < count; i++) {
        value_append(a, list, jwt_key_to_jwk(keys[i], a));
    }
    json_write(out, doc, 0);
}

/* The addresses are the issuer's, by which whoever asks knows the masters. */
static void write_configuration(struct rest_call *c, struct buf *out)
{
    const char *issuer = account_keys_issuer(c->e.api.m);
    buf_putc(out, '{');
    put(out, "issuer", str_of(issuer));
    buf_putc(out, ',');
    put(out, "jwks_uri", str_of(arena_printf(&c->e.arena, "%s/openid/v1/jwks", issuer)));
    buf_puts(out, ",\"response_types_supported\":[\"id_token\"],\"subject_types_supported\":[\"public\"],"
                  "\"id_token_signing_alg_values_supported\":[\"ES256\"]}");
}

void rest_tell_openid(struct rest_call *c)
{
    CLEANUP_BUF struct buf body = BUF_INIT;
    bool keys = c->path.name.n > 0;
    if (keys) {
        write_keys(c, &body);
    } else {
        write_configuration(c, &body);
    }
    rest_answer(c, 200, keys ? "application/jwk-set+json" : NULL, &body);
}
