/* Small texts: quantities, times, durations, names, addresses, image references, fingerprints, base64, explain paths.
 * What parses is printed and parses to the same. */
#include "agent/image/image_int.h"
#include "base/timefmt.h"
#include "proto/model/quantity.h"
#include "proto/net/net_int.h"
#include "proto/schema/kind.h"
#include "proto/text/text.h"
#include "tests/fuzz/fuzz.h"

static void check_quantity(struct str s)
{
    char text[QUANTITY_SIZE];
    int64_t milli, units, back;
    bool valid = quantity_valid(s);
    if (quantity_milli(s, &milli)) {
        CHECK(valid);
        quantity_format_milli(milli, text);
        CHECK(quantity_milli(str_of(text), &back) && back == milli);
    }
    if (quantity_units(s, &units)) {
        CHECK(valid);
        quantity_format_bytes(units, text);
        CHECK(quantity_units(str_of(text), &back) && back == units);
    }
    CHECK(quantity_cmp(s, s) == 0);
    if (valid) {
        CHECK(quantity_cmp(s, STR("1")) == -quantity_cmp(STR("1"), s));
    }
}

static void check_time(struct str s)
{
    char text[TIMEFMT_SIZE];
    int64_t ms, back;
    if (!timefmt_parse(s, &ms)) {
        return;
    }
    timefmt_rfc3339_ms(ms, text);
    CHECK(timefmt_parse(str_of(text), &back) && back == ms);
    timefmt_rfc3339(ms, text);
    CHECK(timefmt_parse(str_of(text), &back) && back <= ms && ms - back < 1000);
    timefmt_age(ms, text);
}

static void check_names(struct str s)
{
    bool label = name_is_dns_label(s), subdomain = name_is_dns_subdomain(s);
    CHECK(!label || (subdomain && s.n > 0 && s.n <= 63));
    CHECK(!subdomain || s.n <= 253);
    CHECK(!name_is_label_value(s) || s.n <= 63);
    CHECK(!label || name_is_label_key(s));
    CHECK(s.n > 63 || name_distance(s, s) == 0);
    const struct kind *k = kind_by_any_name(s);
    CHECK(k == NULL || kind_by_name(str_of(k->name)) == k);
    kind_nearest(s);
    CLEANUP_BUF struct buf out = BUF_INIT;
    struct error err = {0};
    int rc = kind_explain(&out, s, false, &err);
    CHECK(rc == 0 || rc == err.code);
}

static void check_image(struct str s, const char *text)
{
    char name[IMAGE_REF_MAX], again[IMAGE_REF_MAX], hex[IMAGE_HEX_SIZE];
    struct error err = {0};
    image_digest_hex(s, hex);
    if (image_name_normalise(s, name, &err) == 0) {
        CHECK(image_name_normalise(str_of(name), again, &err) == 0 && strcmp(name, again) == 0);
    }
    image_policy_of(STR_NONE, text);
    CLEANUP_FREE char *escaped = image_ref_escape(text);
    CHECK(strchr(escaped, '/') == NULL);
    CLEANUP_FREE char *back = image_ref_unescape(escaped);
    CHECK(strcmp(back, text) == 0);
    CLEANUP_FREE char *odd = image_ref_unescape(text);
    CHECK(strlen(odd) <= s.n);
    char path[256];
    if (image_clean_path(text, path, sizeof path)) {
        CHECK(path[0] != '\0' && path[0] != '/' && strcmp(path, "..") != 0 && strncmp(path, "../", 3) != 0 &&
              strstr(path, "/../") == NULL && !str_ends(str_of(path), STR("/..")));
    }
}

static void check_base64(struct str s)
{
    CLEANUP_BUF struct buf bytes = BUF_INIT;
    CLEANUP_BUF struct buf text = BUF_INIT;
    CLEANUP_BUF struct buf back = BUF_INIT;
    if (!base64_read(&bytes, s)) {
        CHECK(bytes.size == 0);
        base64_write(&text, s.p, s.n);
        CHECK(base64_read(&back, buf_str(&text)) && str_eq(buf_str(&back), s));
        return;
    }
    base64_write(&text, bytes.data, bytes.size);
    CHECK(base64_read(&back, buf_str(&text)) && str_eq(buf_str(&back), buf_str(&bytes)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    CLEANUP_FREE char *text = xstrndup(s.p, s.n);
    char host[256], port[8];
    uint8_t fingerprint[PKI_FINGERPRINT_SIZE];
    check_quantity(s);
    check_time(s);
    check_names(s);
    check_image(str_of(text), text);
    check_base64(s);
    if (net_addr_split(text, host, port)) {
        CHECK(strlen(port) >= 1 && strlen(port) <= 5);
    }
    pki_fingerprint_parse(text, fingerprint);
    return 0;
}
