/* What a registry says, and what stands in files about registries. The first byte says what follows: 0 a challenge, 1
 * the answer of a token server, 2 a manifest, NUL, a config, 3 and 4 logins as docker writes them (new, old), 5 the
 * name of an image. */
#include "agent/image/image_int.h"
#include "agent/image/registry.h"
#include "agent/image/registry_answer.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

/* A token is asked for at a web address, without a login in it, and for pulling alone. */
static void challenge(struct str header)
{
    struct registry_challenge c;
    registry_challenge_read(header, &c);
    CHECK(memchr(c.realm, '\0', sizeof c.realm) != NULL && memchr(c.service, '\0', sizeof c.service) != NULL);
    CHECK(c.scheme != REGISTRY_SCHEME_NONE || (c.realm[0] == '\0' && c.service[0] == '\0'));
    CLEANUP_FREE char *url = registry_token_url(&c, "lib/x");
    if (url != NULL) {
        size_t host = strcspn(url, ":") + 3, end = host + strcspn(url + host, "/?#");
        CHECK(strncmp(url, "https://", 8) == 0 || strncmp(url, "http://", 7) == 0);
        CHECK(memchr(url + host, '@', end - host) == NULL);
        CHECK(strstr(url, "pull") != NULL && strpbrk(url, "\r\n ") == NULL);
    }
}

static void token(struct str json)
{
    struct error err = {0};
    CLEANUP_FREE char *text = NULL;
    int rc = registry_token_read(json, &text, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        CHECK(text == NULL);
        return;
    }
    CHECK(text[0] != '\0' && strlen(text) <= REGISTRY_TOKEN_MAX);
    for (const char *t = text; *t != '\0'; t++) {
        CHECK(*t > ' ' && *t <= '~');
    }
}

static void manifest(struct str text, struct str config_text)
{
    CLEANUP_ARENA struct arena a;
    struct value *doc, *config;
    struct registry_layer *layers;
    struct str digest;
    struct error err = {0};
    unsigned count = 0;
    char hex[IMAGE_HEX_SIZE];
    arena_init(&a);
    if (json_read(&a, text, &doc, NULL) != 0) {
        return;
    }
    if (registry_platform_choose(value_get(doc, "manifests"), "amd64", &digest)) {
        CHECK(image_digest_hex(digest, hex));
    }
    if (json_read(&a, config_text, &config, NULL) != 0) {
        return;
    }
    int rc = registry_layers_read(&a, doc, config, &layers, &count, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    uint64_t all_bytes = 0;
    CHECK(count <= IMAGE_LAYERS_MAX);
    for (unsigned i = 0; i < count; i++) {
        CHECK(strspn(layers[i].hex, "0123456789abcdef") == 64 && layers[i].hex[64] == '\0');
        CHECK(layers[i].diff_hex[0] == '\0' || strlen(layers[i].diff_hex) == 64);
        CHECK(layers[i].size_bytes <= REGISTRY_LAYER_MAX);
        all_bytes += layers[i].size_bytes;
    }
    CHECK(all_bytes <= REGISTRY_IMAGE_MAX);
}

static void logins(struct str json, bool legacy)
{
    struct registry_login *list = NULL;
    unsigned count = 0;
    struct error err = {0};
    int rc = registry_logins_read(json, legacy, &list, &count, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    CHECK(count <= 64);
    for (unsigned i = 0; i < count; i++) {
        CHECK(list[i].host != NULL && list[i].host[0] != '\0' && list[i].user != NULL && list[i].user[0] != '\0');
    }
    registry_logins_free(list, count);
}

/* What is written out in full is the same name again; an error has no login in it. */
static void name(struct str text)
{
    char full[IMAGE_REF_MAX], again[IMAGE_REF_MAX], shown[IMAGE_REF_MAX];
    struct error err = {0};
    CLEANUP_FREE char *ref = xstrndup(text.n == 0 ? "" : text.p, text.n);
    image_name_shown(ref, shown);
    CHECK(strlen(shown) < IMAGE_REF_MAX);
    int rc = image_name_normalise(str_of(ref), full, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return;
    }
    CHECK(image_name_normalise(str_of(full), again, NULL) == 0 && strcmp(full, again) == 0);
    image_name_shown(full, shown);
    CHECK(strstr(shown, "***") == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    uint8_t what = fuzz_byte(&f) % 6;
    if (what == 0) {
        challenge(fuzz_rest(&f));
    } else if (what == 1) {
        token(fuzz_rest(&f));
    } else if (what == 2) {
        struct str text = fuzz_until(&f, 0);
        manifest(text, fuzz_rest(&f));
    } else if (what == 5) {
        name(fuzz_rest(&f));
    } else {
        logins(fuzz_rest(&f), what == 4);
    }
    return 0;
}
