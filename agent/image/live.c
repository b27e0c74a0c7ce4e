#include "agent/image/image_int.h"

#include <assert.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "proto/text/text.h"

/* Images in memory: read from the blobs, counted, and kept in step with the names on disk. The rules are in image.c. */

/* ---- struct image ---- */

static const char *const *string_list(struct arena *a, const struct value *list)
{
    const char **out = arena_alloc(a, (value_count(list) + 1) * sizeof *out);
    unsigned n = 0;
    VALUE_FOR(i, value_is_list(list) ? list : NULL)
    {
        struct str s = value_to_str(value_item(list, i));
        out[n++] = arena_strndup(a, s.p == NULL ? "" : s.p, s.n);
    }
    return out;
}

static const char *string_of(struct arena *a, const struct value *v)
{
    struct str s = value_to_str(v);
    return arena_strndup(a, s.p == NULL ? "" : s.p, s.n);
}

struct image_live *image_live_new(struct image_store *s)
{
    struct image_live *l = xcalloc(1, sizeof *l);
    l->store = s;
    l->refs = 1;
    arena_init(&l->arena);
    list_push_back(&s->live, &l->link);
    return l;
}

static void live_free(struct image_live *l)
{
    list_remove(&l->link);
    arena_close(&l->arena);
    free(l);
}

static void live_set_refs(struct image_live *l)
{
    struct image_store *s = l->store;
    const char **refs = arena_alloc(&l->arena, (s->names_count + 1) * sizeof *refs);
    unsigned n = 0;
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].manifest_hex, l->manifest_hex) == 0) {
            refs[n++] = arena_strdup(&l->arena, s->names[i].ref);
        }
    }
    l->pub.refs = refs;
}

static int read_json_blob(struct image_store *s, const char *hex, struct arena *a, struct value **out,
                          struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    char found[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *path = xasprintf("%s/blobs/sha256/%s", s->dir, hex);
    int rc = fs_read_file(path, IMAGE_JSON_MAX, &b, err);
    if (rc != 0) {
        return rc;
    }
    image_sha256(b.data, b.size, found);
    if (strcmp(found, hex) != 0) {
        return error_set(err, ERR_CORRUPT, "%s is damaged", path);
    }
    return json_read(a, buf_str(&b), out, err);
}

static int live_fill_config(struct image_live *l, const struct value *config)
{
    const struct value *c = value_get(config, "config"), *diffs = value_path(config, "rootfs.diff_ids");
    struct arena *a = &l->arena;
    l->pub.entrypoint = string_list(a, value_get(c, "Entrypoint"));
    l->pub.cmd = string_list(a, value_get(c, "Cmd"));
    l->pub.env = string_list(a, value_get(c, "Env"));
    l->pub.cwd = string_of(a, value_get(c, "WorkingDir"));
    l->pub.user = string_of(a, value_get(c, "User"));
    l->pub.stop_signal = string_of(a, value_get(c, "StopSignal"));
    if (value_is_map(diffs)) {
        return ERR_CORRUPT;
    }
    const char **layers = arena_alloc(a, (value_count(diffs) + 1) * sizeof *layers);
    VALUE_FOR(i, diffs)
    {
        char hex[IMAGE_HEX_SIZE];
        if (!image_digest_hex(value_to_str(value_item(diffs, i)), hex)) {
            return ERR_CORRUPT;
        }
        layers[i] = arena_printf(a, "%s/layers/%s", l->store->dir, hex);
        if (!fs_exists(layers[i])) {
            return ERR_NOT_FOUND;
        }
    }
    l->pub.layers = layers;
    l->pub.layers_count = value_count(diffs);
    return 0;
}

/* From the blobs on disk. NULL if something is missing. */
static struct image_live *live_read(struct image_store *s, const char *manifest_hex, struct error *err)
{
    CLEANUP_ARENA struct arena a;
    struct value *manifest, *config;
    arena_init(&a);
    struct image_live *l = image_live_new(s);
    strcpy(l->manifest_hex, manifest_hex);
    int rc = read_json_blob(s, manifest_hex, &a, &manifest, err);
    if (rc == 0 && !image_digest_hex(value_path_str(manifest, "config.digest"), l->config_hex)) {
        rc = error_set(err, ERR_CORRUPT, "the manifest names no config");
    }
    rc = rc != 0 ? rc : read_json_blob(s, l->config_hex, &a, &config, err);
    if (rc == 0) {
        rc = live_fill_config(l, config);
        if (rc != 0) {
            error_set(err, rc, "layers of the image are missing");
        }
    }
    if (rc != 0) {
        live_free(l);
        return NULL;
    }
    l->pub.id = arena_printf(&l->arena, "sha256:%s", l->config_hex);
    l->pub.digest = arena_printf(&l->arena, "sha256:%s", manifest_hex);
    const struct value *layers = value_get(manifest, "layers");
    VALUE_FOR(i, layers)
    {
        l->pub.size_bytes += (uint64_t)value_to_int(value_get(value_item(layers, i), "size"), 0);
    }
    live_set_refs(l);
    image_marker_read(l);
    return l;
}

struct image *image_ref(struct image *im)
{
    ((struct image_live *)im)->refs++;
    return im;
}

static bool has_name(const struct image_store *s, const char *manifest_hex)
{
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].manifest_hex, manifest_hex) == 0) {
            return true;
        }
    }
    return false;
}

void image_unref(struct image *im)
{
    struct image_live *l = (struct image_live *)im;
    if (im == NULL) {
        return;
    }
    assert(l->refs > 0);
    l->refs--;
    struct image_store *s = l->store;
    /* Perhaps it was the last one that kept a removed image (the store itself holds one reference). */
    bool leftover = l->refs <= 1 && s != NULL && !s->hollow && !s->closing && !has_name(s, l->manifest_hex);
    if (l->refs == 0) {
        live_free(l);
    }
    if (leftover) {
        s->dirty = true;
        s->has_rubbish(s);
    }
}

/* ---- Memory's mirror of the disk ---- */

struct image_live *image_present_find(struct image_store *s, const char *manifest_hex)
{
    for (unsigned i = 0; i < s->present_count; i++) {
        if (strcmp(s->present[i]->manifest_hex, manifest_hex) == 0) {
            return s->present[i];
        }
    }
    return NULL;
}

void image_present_add(struct image_store *s, const char *manifest_hex)
{
    struct error err = {0};
    if (image_present_find(s, manifest_hex) != NULL) {
        return;
    }
    struct image_live *l = live_read(s, manifest_hex, &err);
    if (l == NULL) {
        log_warn(s->log, "image", "image sha256:%.12s is incomplete and left out: %s", manifest_hex, err.message);
        return;
    }
    s->present = xrealloc(s->present, (s->present_count + 1) * sizeof *s->present);
    s->present[s->present_count++] = l;
}

struct image_named *image_named_find(struct image_store *s, const char *ref)
{
    for (unsigned i = 0; i < s->names_count; i++) {
        if (strcmp(s->names[i].ref, ref) == 0) {
            return &s->names[i];
        }
    }
    return NULL;
}

void image_named_set(struct image_store *s, const char *ref, const char *manifest_hex)
{
    struct image_named *n = image_named_find(s, ref);
    if (n == NULL) {
        s->names = xrealloc(s->names, (s->names_count + 1) * sizeof *s->names);
        n = &s->names[s->names_count++];
        n->ref = xstrdup(ref);
    } else if (strcmp(n->manifest_hex, manifest_hex) != 0) {
        s->dirty = true; /* the image that had the name may have lost its last one */
    }
    strcpy(n->manifest_hex, manifest_hex);
}

static bool has_same_names(const struct image_store *s, const struct image_live *l)
{
    unsigned has = 0, named = 0;
    while (l->pub.refs[has] != NULL) {
        has++;
    }
    for (unsigned i = 0; i < s->names_count; i++) {
        bool told = false;
        if (strcmp(s->names[i].manifest_hex, l->manifest_hex) != 0) {
            continue;
        }
        for (unsigned k = 0; k < has && !told; k++) {
            told = strcmp(l->pub.refs[k], s->names[i].ref) == 0;
        }
        if (!told) {
            return false;
        }
        named++;
    }
    return named == has;
}

/* Images are immutable: those whose names changed are made anew from the disk, holders keep the old ones. */
void image_present_refresh(struct image_store *s)
{
    for (unsigned i = 0; i < s->present_count; i++) {
        struct image_live *old = s->present[i];
        int64_t used_ms = old->used_ms;
        if (has_same_names(s, old)) {
            image_marker_read(old);
            old->used_ms = MAX(old->used_ms, used_ms);
            continue;
        }
        struct image_live *now = live_read(s, old->manifest_hex, NULL);
        if (now != NULL) {
            now->used_ms = MAX(now->used_ms, used_ms);
            now->was_used = old->was_used;
            s->present[i] = now;
            image_unref(&old->pub);
        }
    }
}

/* Images without a name leave the store's memory; their marker goes too. */
void image_drop_nameless(struct image_store *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < s->present_count; i++) {
        struct image_live *l = s->present[i];
        if (has_name(s, l->manifest_hex) || l->refs > 1) {
            s->present[kept++] = l; /* without a name a container stands on it: stays until that is gone */
        } else {
            CLEANUP_FREE char *marker = xasprintf("%s/images/%s", s->dir, l->manifest_hex);
            unlink(marker);
            l->refs = 0;
            live_free(l);
        }
    }
    s->present_count = kept;
}

static void each_file(const char *dir, void (*fn)(struct image_store *s, const char *name), struct image_store *s)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_name[0] != '.' && !fs_is_leftover(e->d_name)) {
            fn(s, e->d_name);
        }
    }
    closedir(d);
}

static void load_ref(struct image_store *s, const char *name)
{
    char text[128], hex[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *path = xasprintf("%s/refs/%s", s->dir, name);
    CLEANUP_FREE char *ref = image_ref_unescape(name);
    if (fs_read_line(path, text, sizeof text) && image_digest_hex(str_of(text), hex)) {
        image_named_set(s, ref, hex);
    }
}

static void load_marker(struct image_store *s, const char *name)
{
    if (strlen(name) == 64) {
        image_present_add(s, name);
    }
}

/* Names and images as the directory has them. Blocking, short. */
void image_load_from_disk(struct image_store *s)
{
    CLEANUP_FREE char *refs = xasprintf("%s/refs", s->dir);
    CLEANUP_FREE char *images = xasprintf("%s/images", s->dir);
    each_file(refs, load_ref, s);
    each_file(images, load_marker, s);
    s->dirty = false;
}
