/* Tokens, against a fixed key whose private half nobody has: none is ever taken. The first byte: bit 0, the header is
 * one that names the key, and the input is what stands behind it; bit 1, the input is claims in JSON, which are
 * checked; bit 2, two bytes say a place, and claims in JSON are signed by a key of our own: that token is taken, says
 * what was signed, and is none with another bit at the place. */
#include "master/auth/account_token.h"
#include "proto/jwt/jwt.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static const char PUBLIC[] = "-----BEGIN PUBLIC KEY-----\n"
                             "MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEf83OJ3D2xF1Bg8vub9tLe1gHMzV7\n"
                             "6e8Tus9uPHvRVEXH8UTNG72bfocs3+257rn0s2ldbqkLJK2KRiMohYjlrQ==\n"
                             "-----END PUBLIC KEY-----\n";

static const struct jwt_key *key(void)
{
    static struct jwt_key *k;
    struct error err;
    if (k == NULL) {
        CHECK(jwt_key_parse(PUBLIC, &k, &err) == 0);
    }
    return k;
}

/* {"alg":"ES256","kid":"..."} in base64url. */
static void put_header(struct buf *out)
{
    CLEANUP_BUF struct buf json = BUF_INIT;
    buf_printf(&json, "{\"alg\":\"ES256\",\"kid\":\"%s\"}", jwt_key_id(key()));
    base64_write(out, json.data, json.size);
    while (out->data[out->size - 1] == '=') {
        out->size--;
    }
    buf_putc(out, '.');
}

/* Whatever a token says, it is read as what a service account's says, or is none. */
static void check_claims(const struct value *claims)
{
    struct account_claims c;
    if (account_claims_read(claims, &c)) {
        CHECK(c.ns.n > 0 && c.account.n > 0 && c.account_uid.n > 0);
    }
}

static const struct jwt_key *own_key(void)
{
    static struct jwt_key *k;
    struct error err;
    if (k == NULL) {
        CHECK(jwt_key_make(&k, &err) == 0);
    }
    return k;
}

static void check_signed(struct arena *a, unsigned place, struct str json)
{
    CLEANUP_BUF struct buf token = BUF_INIT;
    struct value *claims = NULL, *read = NULL, *unread = NULL;
    struct str key_id;
    struct error err = {0};
    const struct jwt_key *keys[] = {key(), own_key()};
    if (json_read(a, json, &claims, NULL) != 0 || !value_is_map(claims)) {
        return;
    }
    int rc = jwt_sign(own_key(), claims, &token, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    CHECK(jwt_verify(buf_str(&token), keys, 2, a, &read, &err) == 0 && value_equal(read, claims));
    CHECK(jwt_read(buf_str(&token), a, &unread, &key_id) && value_equal(unread, read));
    CHECK(str_is(key_id, jwt_key_id(own_key())));
    rc = jwt_verify(buf_str(&token), keys, 1, a, &read, &err);
    CHECK_FAILED(rc, err);
    token.data[place % token.size] ^= (uint8_t)(1u << place / 8192 % 7);
    rc = jwt_verify(buf_str(&token), keys, 2, a, &read, &err);
    CHECK_FAILED(rc, err);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    struct str text = fuzz_rest(&f);
    const struct jwt_key *keys[] = {key()};
    static const char *const audiences[] = {"api"};
    const struct jwt_rules rules = {"https://reeve", audiences, 1, 1000, 10};
    CLEANUP_ARENA struct arena a;
    CLEANUP_BUF struct buf token = BUF_INIT;
    struct value *claims = NULL;
    struct error err = {0};
    arena_init(&a);
    if (head & 4) {
        unsigned place = text.n < 2 ? 0 : (uint8_t)text.p[0] | (unsigned)(uint8_t)text.p[1] << 8;
        check_signed(&a, place, text.n < 2 ? STR_NONE : (struct str){text.p + 2, text.n - 2});
        return 0;
    }
    if (head & 2) {
        if (json_read(&a, text, &claims, NULL) == 0) {
            check_claims(claims);
            int rc = jwt_check(claims, &rules, &err);
            CHECK(rc == 0 || rc == ERR_UNAUTHORIZED);
        }
        return 0;
    }
    if (head & 1) {
        put_header(&token);
    }
    buf_append_str(&token, text);
    struct value *said;
    struct str key_id;
    if (jwt_read(buf_str(&token), &a, &said, &key_id)) {
        check_claims(said);
    }
    int rc = jwt_verify(buf_str(&token), keys, 1, &a, &claims, &err);
    CHECK_FAILED(rc, err);
    CHECK(claims == NULL);
    return 0;
}
