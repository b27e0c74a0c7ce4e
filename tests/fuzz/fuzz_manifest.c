/* Manifests as `rctl apply -f` reads them: streams, Lists in Lists, namespaces filled in, errors with their place. The
 * first byte: bit 0 a namespace was given, bit 1 unknown fields pass. */
#include "client/manifest/manifest.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    unsigned head = fuzz_byte(&f);
    CLEANUP_ARENA struct arena a;
    struct manifest m = {0};
    struct manifest_options o = {.ns = "test", .ns_given = (head & 1) != 0, .lenient = (head & 2) != 0};
    struct error err = {0};
    arena_init(&a);
    int rc = manifest_read_text(&a, fuzz_rest(&f), "fuzz.yaml", &o, &m, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
        return 0;
    }
    for (unsigned i = 0; i < m.count; i++) {
        const struct manifest_item *item = &m.items[i];
        CHECK(item->kind != NULL && value_is_map(item->doc) && item->name != NULL && item->ns != NULL);
        CHECK(item->kind->namespaced ? item->ns[0] != '\0' : item->ns[0] == '\0');
        CHECK(!o.ns_given || !item->kind->namespaced || strcmp(item->ns, "test") == 0);
    }
    return 0;
}
