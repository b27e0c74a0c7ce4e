/* Tokens: what is signed is verified, and nothing else is. */
#include "proto/jwt/jwt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/text/text.h"

/* The key and the token of RFC 7515 appendix A.3. It has no kid, and this program takes none without; the signature
 * is checked through a token of ours. */
#define RFC_KEY                                                                                                        \
    "-----BEGIN PUBLIC KEY-----\n"                                                                                     \
    "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"                                               \
    "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"                                                   \
    "-----END PUBLIC KEY-----\n"

struct fixture {
    struct arena arena;
    struct error err;
    struct jwt_key *key;
    struct value *claims;
    struct buf token;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof *f);
    arena_init(&f->arena);
    *state = f;
    assert_int_equal(jwt_key_make(&f->key, &f->err), 0);
    assert_int_equal(json_read(&f->arena,
                               STR("{\"iss\":\"https://reeve\",\"sub\":\"system:serviceaccount:ns:sa\",\"aud\":[\"a\","
                                   "\"b\"],\"exp\":2000,\"nbf\":1000}"),
                               &f->claims, &f->err),
                     0);
    assert_int_equal(jwt_sign(f->key, f->claims, &f->token, &f->err), 0);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    jwt_key_free(f->key);
    buf_close(&f->token);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static int verify(struct fixture *f, struct str token, struct value **claims)
{
    const struct jwt_key *keys[] = {f->key};
    f->err = (struct error){0};
    return jwt_verify(token, keys, 1, &f->arena, claims, &f->err);
}

static void what_is_signed_is_verified(void **state)
{
    struct fixture *f = *state;
    struct value *claims;
    assert_int_equal(verify(f, buf_str(&f->token), &claims), 0);
    assert_true(value_equal(claims, f->claims));
    assert_null(memchr(f->token.data, '=', f->token.size));
}

static void keys_are_written_and_read(void **state)
{
    struct fixture *f = *state;
    struct jwt_key *pair, *half, *none;
    struct value *claims;
    CLEANUP_BUF_WIPE struct buf private = BUF_INIT;
    CLEANUP_BUF struct buf public = BUF_INIT;
    assert_true(jwt_key_can_sign(f->key) && jwt_key_write_private(f->key, &private));
    jwt_key_write_public(f->key, &public);
    assert_int_equal(jwt_key_parse(buf_cstr(&private), &pair, &f->err), 0);
    assert_int_equal(jwt_key_parse(buf_cstr(&public), &half, &f->err), 0);
    assert_string_equal(jwt_key_id(pair), jwt_key_id(f->key));
    assert_string_equal(jwt_key_id(half), jwt_key_id(f->key));
    assert_true(jwt_key_can_sign(pair) && !jwt_key_can_sign(half));
    assert_false(jwt_key_write_private(half, &private));
    const struct jwt_key *keys[] = {half};
    assert_int_equal(jwt_verify(buf_str(&f->token), keys, 1, &f->arena, &claims, &f->err), 0);
    struct value *jwk = jwt_key_to_jwk(half, &f->arena);
    assert_true(str_is(value_path_str(jwk, "kid"), jwt_key_id(half)));
    assert_int_equal(value_path_str(jwk, "x").n, 43);
    jwt_key_free(pair);
    jwt_key_free(half);
    assert_int_equal(jwt_key_parse("-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n", &none, &f->err),
                     ERR_INVALID);
    assert_int_equal(jwt_key_parse("", &none, &f->err), ERR_INVALID);
}

static void a_key_is_called_by_its_thumbprint(void **state)
{
    struct fixture *f = *state;
    struct jwt_key *k;
    assert_int_equal(jwt_key_parse(RFC_KEY, &k, &f->err), 0);
    struct value *jwk = jwt_key_to_jwk(k, &f->arena);
    assert_true(str_is(value_path_str(jwk, "x"), "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU"));
    assert_true(str_is(value_path_str(jwk, "y"), "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"));
    assert_int_equal(strlen(jwt_key_id(k)), 43);
    jwt_key_free(k);
}

static void other_keys_do_not_fit(void **state)
{
    struct fixture *f = *state;
    struct jwt_key *other;
    struct value *claims = NULL;
    assert_int_equal(jwt_key_make(&other, &f->err), 0);
    const struct jwt_key *keys[] = {other};
    assert_int_equal(jwt_verify(buf_str(&f->token), keys, 1, &f->arena, &claims, &f->err), ERR_UNAUTHORIZED);
    assert_int_equal(jwt_verify(buf_str(&f->token), NULL, 0, &f->arena, &claims, &f->err), ERR_UNAUTHORIZED);
    assert_null(claims);
    jwt_key_free(other);
}

/* Each character another one, and the token cut at each place. */
static void a_damaged_token_is_none(void **state)
{
    struct fixture *f = *state;
    struct value *claims = NULL;
    for (size_t i = 0; i < f->token.size; i++) {
        uint8_t was = f->token.data[i];
        f->token.data[i] = was == 'A' ? 'B' : was == '.' ? '-' : 'A';
        assert_int_equal(verify(f, buf_str(&f->token), &claims), ERR_UNAUTHORIZED);
        f->token.data[i] = was;
        assert_int_equal(verify(f, (struct str){(char *)f->token.data, i}, &claims), ERR_UNAUTHORIZED);
        assert_null(claims);
    }
    static const char *const behind[] = {"=", ".", " ", "\n", "A"};
    for (unsigned i = 0; i < ARRAY_SIZE(behind); i++) {
        CLEANUP_FREE char *text = xasprintf("%.*s%s", STR_ARG(buf_str(&f->token)), behind[i]);
        assert_int_equal(verify(f, str_of(text), &claims), ERR_UNAUTHORIZED);
    }
}

/* [6 token-key] A header of the attacker's choice before claims and signature that are right. RS256, which Kubernetes
 * takes as well, is another one, too. */
static void other_algorithms_are_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const headers[] = {
        "eyJhbGciOiJub25lIn0",  /* {"alg":"none"} */
        "eyJhbGciOiJIUzI1NiJ9", /* {"alg":"HS256"} */
        "eyJhbGciOiJSUzI1NiJ9", /* {"alg":"RS256"} */
        "eyJhbGciOiJFUzI1NiJ9", /* {"alg":"ES256"}: no kid */
        "e30",
        "W10",
        "bnVsbA",
        "",
    };
    const char *dot = memchr(f->token.data, '.', f->token.size);
    struct value *claims = NULL;
    for (unsigned i = 0; i < ARRAY_SIZE(headers); i++) {
        CLEANUP_FREE char *text =
            xasprintf("%s%.*s", headers[i], (int)(f->token.size - (size_t)(dot - (char *)f->token.data)), dot);
        assert_int_equal(verify(f, str_of(text), &claims), ERR_UNAUTHORIZED);
        const char *none = arena_printf(&f->arena, "%.*s.", (int)(strrchr(text, '.') - text), text);
        assert_int_equal(verify(f, str_of(none), &claims), ERR_UNAUTHORIZED);
    }
    assert_null(claims);
}

static void claims_hold_now_and_here(void **state)
{
    struct fixture *f = *state;
    static const char *const ours[] = {"x", "b"}, *const theirs[] = {"x"};
    static const struct {
        const char *issuer, *const *audiences;
        unsigned count;
        int64_t now_s;
        unsigned leeway_s;
        const char *why; /* NULL: they hold */
    } rows[] = {
        {"https://reeve", ours, 2, 1500, 0, NULL},
        {"https://reeve", NULL, 0, 1500, 0, NULL},
        {"https://other", ours, 2, 1500, 0, "another issuer"},
        {"https://reeve", theirs, 1, 1500, 0, "another audience"},
        {"https://reeve", ours, 2, 1999, 0, NULL},
        {"https://reeve", ours, 2, 2000, 0, "has expired"},
        {"https://reeve", ours, 2, 2009, 10, NULL},
        {"https://reeve", ours, 2, 999, 0, "not valid yet"},
        {"https://reeve", ours, 2, 990, 10, NULL},
    };
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        const struct jwt_rules r = {rows[i].issuer, rows[i].audiences, rows[i].count, rows[i].now_s, rows[i].leeway_s};
        f->err = (struct error){0};
        assert_int_equal(jwt_check(f->claims, &r, &f->err), rows[i].why == NULL ? 0 : ERR_UNAUTHORIZED);
        assert_true(rows[i].why == NULL || strstr(f->err.message, rows[i].why) != NULL);
    }
    value_remove(f->claims, "exp");
    const struct jwt_rules r = {"https://reeve", NULL, 0, 1500, 0};
    assert_int_equal(jwt_check(f->claims, &r, &f->err), ERR_UNAUTHORIZED);
}

static void claims_have_a_bound(void **state)
{
    struct fixture *f = *state;
    CLEANUP_BUF struct buf long_text = BUF_INIT;
    CLEANUP_BUF struct buf token = BUF_INIT;
    while (long_text.size < JWT_SIZE_MAX) {
        buf_puts(&long_text, "xxxxxxxxxxxxxxxx");
    }
    value_set(&f->arena, f->claims, "sub", value_str(&f->arena, buf_str(&long_text)));
    assert_int_equal(jwt_sign(f->key, f->claims, &token, &f->err), ERR_TOO_LARGE);
    assert_int_equal(token.size, 0);
}

/* A map of a list of that many less two. */
static struct value *claims_of_values(struct arena *a, unsigned values)
{
    struct value *claims = value_map(a), *aud = value_list(a);
    for (unsigned i = 2; i < values; i++) {
        value_append(a, aud, value_int(a, 1));
    }
    value_set(a, claims, "aud", aud);
    return claims;
}

/* Of few bytes, so that no look at one that anybody has made takes long. */
static void claims_have_a_bound_of_values(void **state)
{
    struct fixture *f = *state;
    const struct jwt_key *keys[] = {f->key};
    struct value *read;
    struct str key_id;
    CLEANUP_BUF struct buf token = BUF_INIT;
    assert_int_equal(jwt_sign(f->key, claims_of_values(&f->arena, JWT_VALUES_MAX), &token, &f->err), 0);
    assert_true(jwt_read(buf_str(&token), &f->arena, &read, &key_id));
    assert_int_equal(jwt_verify(buf_str(&token), keys, 1, &f->arena, &read, &f->err), 0);
    buf_reset(&token);
    struct value *more = claims_of_values(&f->arena, JWT_VALUES_MAX + 1);
    assert_int_equal(jwt_sign(f->key, more, &token, &f->err), ERR_TOO_LARGE);
    assert_int_equal(token.size, 0);
    CLEANUP_BUF struct buf json = BUF_INIT;
    json_write(&json, more, 0);
    buf_puts(&token, "e30."); /* "{}" */
    base64url_write(&token, json.data, json.size);
    buf_puts(&token, ".AA");
    assert_false(jwt_read(buf_str(&token), &f->arena, &read, &key_id));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
/* Its holder reads how long it lives, whoever has signed it. */
static void a_token_says_how_long_it_lives(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *claims;
        bool says;
    } rows[] = {
        {"{\"iat\":1000,\"exp\":4600}", true},
        {"{\"iat\":1000,\"exp\":1000}", false},
        {"{\"iat\":-1,\"exp\":1000}", false},
        {"{\"iat\":\"1000\",\"exp\":4600}", false},
        {"{\"exp\":4600}", false},
        {"{\"iat\":1000}", false},
    };
    int64_t issued_s, expires_s;
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        struct value *claims;
        CLEANUP_BUF struct buf token = BUF_INIT;
        assert_int_equal(json_read(&f->arena, str_of(rows[i].claims), &claims, &f->err), 0);
        assert_int_equal(jwt_sign(f->key, claims, &token, &f->err), 0);
        assert_true(jwt_life(buf_str(&token), &issued_s, &expires_s) == rows[i].says);
        assert_true(!rows[i].says || (issued_s == 1000 && expires_s == 4600));
    }
    assert_false(jwt_life(STR(""), &issued_s, &expires_s));
    assert_false(jwt_life(STR("token"), &issued_s, &expires_s));
    assert_false(jwt_life(STR("a.b.c"), &issued_s, &expires_s));
    assert_false(jwt_life(STR(".."), &issued_s, &expires_s));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_signed_is_verified),     TEST(keys_are_written_and_read), TEST(a_key_is_called_by_its_thumbprint),
        TEST(other_keys_do_not_fit),          TEST(a_damaged_token_is_none),   TEST(other_algorithms_are_refused),
        TEST(claims_hold_now_and_here),       TEST(claims_have_a_bound),       TEST(claims_have_a_bound_of_values),
        TEST(a_token_says_how_long_it_lives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
