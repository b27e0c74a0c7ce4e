/* Images: an OCI layout or a docker archive's files, as a user loads them. Input: index.json (or, if the first byte is
 * odd, manifest.json of docker), NUL, a manifest, NUL, a config. "@M" and "@C" stand for the digests of the last two,
 * so that blobs can name each other. What was imported is read back by a new store. Layers are not unpacked here:
 * that writes whatever the archive says. */
#include <sys/stat.h>
#include <unistd.h>

#include "agent/image/image_int.h"
#include "agent/util/fsutil.h"
#include "tests/fuzz/fuzz.h"

static char dir[64]; /* DIR/layout, DIR/store */
static uv_loop_t loop;

static void remove_dir(void)
{
    fs_remove_tree(dir, NULL);
}

static void prepare(void)
{
    if (dir[0] == '\0') {
        snprintf(dir, sizeof dir, "%s/reeve-fuzz-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        CHECK(mkdtemp(dir) != NULL && uv_loop_init(&loop) == 0);
        atexit(remove_dir);
    }
    char path[128];
    static const char *const trees[] = {"layout", "store"};
    for (unsigned i = 0; i < ARRAY_SIZE(trees); i++) {
        snprintf(path, sizeof path, "%s/%s", dir, trees[i]);
        CHECK(fs_remove_tree(path, NULL) == 0 && mkdir(path, 0755) == 0);
    }
    snprintf(path, sizeof path, "%s/layout/blobs/sha256", dir);
    CHECK(fs_make_dirs(path, 0755, NULL) == 0);
}

static void write_layout_file(const char *name, struct str content)
{
    char path[256];
    snprintf(path, sizeof path, "%s/layout/%s", dir, name);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL && (content.n == 0 || fwrite(content.p, 1, content.n, f) == content.n) && fclose(f) == 0);
}

static void write_blob(struct str content, char hex[IMAGE_HEX_SIZE])
{
    char name[128];
    image_sha256(content.p, content.n, hex);
    snprintf(name, sizeof name, "blobs/sha256/%s", hex);
    write_layout_file(name, content);
}

static void put_digests(struct str text, const char *manifest_hex, const char *config_hex, struct buf *out)
{
    for (size_t i = 0; i < text.n; i++) {
        char next = i + 1 < text.n ? text.p[i + 1] : '\0';
        if (text.p[i] == '@' && (next == 'M' || next == 'C')) {
            buf_printf(out, "sha256:%s", next == 'M' ? manifest_hex : config_hex);
            i++;
        } else {
            buf_putc(out, text.p[i]);
        }
    }
}

static struct image_store *open_store(void)
{
    char path[128];
    struct image_store *s;
    struct error err = {0};
    snprintf(path, sizeof path, "%s/store", dir);
    int rc = image_store_new(&loop, path, NULL, &s, &err);
    if (rc != 0) {
        fprintf(stderr, "%s\n", err.message);
    }
    CHECK(rc == 0);
    return s;
}

static void close_store(struct image_store *s)
{
    image_store_close(s, NULL, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
}

/* Everything that a container would be started with is there, and can be found by each of its names. */
static void check_store(void)
{
    struct image_store *s = open_store();
    struct image **images;
    unsigned count = image_list(s, &images);
    for (unsigned i = 0; i < count; i++) {
        const struct image *im = images[i];
        CHECK(strlen(im->id) == 7 + 64 && strlen(im->digest) == 7 + 64);
        CHECK(im->entrypoint != NULL && im->cmd != NULL && im->env != NULL && im->cwd != NULL && im->user != NULL &&
              im->stop_signal != NULL && im->layers_count <= IMAGE_LAYERS_MAX);
        for (unsigned k = 0; im->refs[k] != NULL; k++) {
            struct image *found = image_find(s, im->refs[k]);
            CHECK(found != NULL);
            image_unref(found);
        }
        image_unref(images[i]);
    }
    free(images);
    close_store(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input f = fuzz_input(data, size);
    bool docker = fuzz_byte(&f) & 1;
    struct str index = fuzz_until(&f, 0), manifest = fuzz_until(&f, 0), config = fuzz_rest(&f);
    CLEANUP_BUF struct buf manifest_text = BUF_INIT;
    CLEANUP_BUF struct buf index_text = BUF_INIT;
    char manifest_hex[IMAGE_HEX_SIZE], config_hex[IMAGE_HEX_SIZE], layout[128], store[128];
    struct list found;
    struct error err = {0};
    atomic_bool cancel = false;
    prepare();
    close_store(open_store()); /* makes its directories */
    write_blob(config, config_hex);
    put_digests(manifest, "", config_hex, &manifest_text);
    write_blob(buf_str(&manifest_text), manifest_hex);
    put_digests(index, manifest_hex, config_hex, &index_text);
    write_layout_file(docker ? "manifest.json" : "index.json", buf_str(&index_text));
    list_init(&found);
    snprintf(layout, sizeof layout, "%s/layout", dir);
    snprintf(store, sizeof store, "%s/store", dir);
    int rc = image_import(store, layout, "given:1", false, &cancel, &found, &err);
    if (rc != 0) {
        CHECK_FAILED(rc, err);
    }
    image_found_free(&found);
    check_store();
    return 0;
}
