/* OCI layouts made by hand, for the tests of the image store and of the runtime. */
#ifndef TESTS_UNIT_AGENT_LAYOUT_H
#define TESTS_UNIT_AGENT_LAYOUT_H

#include "agent/image/image_int.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"

#include <archive.h>
#include <archive_entry.h>
#include <stdio.h>

struct tar {
    struct archive *a;
    char *bytes;
    size_t size;
};
#define TAR_MAX (1u << 20)

static inline void tar_begin(struct tar *t, bool gzip)
{
    t->bytes = xmalloc(TAR_MAX);
    t->a = archive_write_new();
    archive_write_set_format_pax_restricted(t->a);
    if (gzip) {
        archive_write_add_filter_gzip(t->a);
    }
    archive_write_set_bytes_in_last_block(t->a, 1);
    assert_int_equal(archive_write_open_memory(t->a, t->bytes, TAR_MAX, &t->size), ARCHIVE_OK);
}
static inline void tar_add(struct tar *t, const char *path, mode_t type, const char *content)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, type == AE_IFDIR ? 0755 : 0644);
    if (type == AE_IFLNK) {
        archive_entry_set_symlink(e, content);
    } else if (type == AE_IFREG) {
        archive_entry_set_size(e, (la_int64_t)strlen(content));
    }
    assert_int_equal(archive_write_header(t->a, e), ARCHIVE_OK);
    if (type == AE_IFREG) {
        archive_write_data(t->a, content, strlen(content));
    }
    archive_entry_free(e);
}
static inline void tar_end(struct tar *t)
{
    archive_write_close(t->a);
    archive_write_free(t->a);
}

static inline void put_blob(const char *layout, const void *p, size_t n, char hex[IMAGE_HEX_SIZE])
{
    char path[512];
    image_sha256(p, n, hex);
    snprintf(path, sizeof path, "%s/blobs/sha256/%s", layout, hex);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, (struct str){p, n}, 0644, false, NULL), 0);
}

/* A layout of the given layers (uncompressed tars whose digests are their diff ids). */
static inline void make_layout(const char *layout, const char *ref, struct tar *layers, unsigned count)
{
    CLEANUP_BUF struct buf config = BUF_INIT;
    CLEANUP_BUF struct buf manifest = BUF_INIT;
    CLEANUP_BUF struct buf index = BUF_INIT;
    char hex[IMAGE_HEX_SIZE], path[512];
    buf_puts(&config, "{\"config\":{\"Cmd\":[\"run\",\"it\"],\"Env\":[\"A=1\"],\"WorkingDir\":\"/w\",\"User\":\"7\"},"
                      "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[");
    CLEANUP_BUF struct buf list = BUF_INIT;
    for (unsigned i = 0; i < count; i++) {
        put_blob(layout, layers[i].bytes, layers[i].size, hex);
        buf_printf(&config, "%s\"sha256:%s\"", i == 0 ? "" : ",", hex);
        buf_printf(&list, "%s{\"digest\":\"sha256:%s\",\"size\":%zu}", i == 0 ? "" : ",", hex, layers[i].size);
        free(layers[i].bytes);
    }
    buf_puts(&config, "]}}");
    put_blob(layout, config.data, config.size, hex);
    buf_printf(&manifest, "{\"schemaVersion\":2,\"config\":{\"digest\":\"sha256:%s\"},\"layers\":[%s]}", hex,
               buf_cstr(&list));
    put_blob(layout, manifest.data, manifest.size, hex);
    buf_printf(
        &index,
        "{\"manifests\":[{\"digest\":\"sha256:%s\",\"annotations\":{\"org.opencontainers.image.ref.name\":\"%s\"}}]}",
        hex, ref);
    snprintf(path, sizeof path, "%s/index.json", layout);
    assert_int_equal(fs_write_file(path, buf_str(&index), 0644, false, NULL), 0);
    snprintf(path, sizeof path, "%s/oci-layout", layout);
    assert_int_equal(fs_write_file(path, STR("{\"imageLayoutVersion\":\"1.0.0\"}"), 0644, false, NULL), 0);
}

#endif
