/* Tokens, against a fixed key whose private half nobody has: none is ever taken. The first byte: bit 0, the header is
 * one that names the key, and the input is what stands behind it; bit 1, the input is claims in JSON, which are
 * checked. */
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
    if (head & 2) {
        if (json_read(&a, text, &claims, NULL) == 0) {
            int rc = jwt_check(claims, &rules, &err);
            CHECK(rc == 0 || rc == ERR_UNAUTHORIZED);
        }
        return 0;
    }
    if (head & 1) {
        put_header(&token);
    }
    buf_append_str(&token, text);
    int rc = jwt_verify(buf_str(&token), keys, 1, &a, &claims, &err);
    CHECK_FAILED(rc, err);
    CHECK(claims == NULL);
    return 0;
}
