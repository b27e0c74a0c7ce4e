/* rctl image load, rctl image list: container images on nodes. pull, rm and build have files of their own. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd/image.h"

#define CHUNK   (256u << 10)
#define WAIT_MS 600000
/* A load that was cut begins again: the node keeps nothing of half an archive, and a whole one twice is the same. */
#define LOAD_TRIES_MAX 8u
#define LOAD_PAUSE_MS  500

static const struct option_row load_options[] = {
    OPTION_ROW_NODE,
    {"name", 0, OPTION_VALUE, NULL, NULL, "IMAGE", "a name for the archive's only image, beside its own if it has one"},
};
static const struct option_row list_options[] = {
    OPTION_ROW_NODE,
    {"no-headers", 0, OPTION_FLAG, NULL, NULL, NULL, "no titles above the columns"},
};

int image_nodes(struct rctl *r, struct api_list *out, struct error *err)
{
    const char *only = opt(r, "node");
    struct api_list_query q = {.kind = kind_by_id(KIND_NODE)};
    if (strcmp(only, "all") != 0) {
        q.field_selector = arena_printf(&r->arena, "metadata.name=%s", only);
    }
    int rc = api_list(r->api, &q, out, err);
    if (rc == 0 && out->count == 0) {
        return error_set(err, ERR_NOT_FOUND, q.field_selector == NULL ? "there are no nodes" : "nodes \"%s\" not found",
                         only);
    }
    return rc;
}

/* ---- load ---- */

struct load {
    struct rctl *r;
    const char *node;
    bool writable;
    unsigned loaded;
};

static void load_data(struct mp payload, void *data)
{
    struct load *l = data;
    for (struct mp_iter it = mp_iter(mp_get(payload, "loaded")); mp_next(&it); l->loaded++) {
        struct str ref = mp_str(it.value);
        fprintf(l->r->out, "%s: loaded %.*s\n", l->node, STR_ARG(ref));
        fflush(l->r->out);
    }
}

static void load_writable(void *data)
{
    struct load *l = data;
    l->writable = true;
}

/* The whole file into the stream, as fast as the node takes it. */
static int send_file(struct load *l, struct api_stream *s, int fd, const char *path, struct error *err)
{
    CLEANUP_FREE char *chunk = xmalloc(CHUNK);
    CLEANUP_BUF struct buf payload = BUF_INIT;
    while (!*api_stream_ended(s)) {
        ssize_t n = read(fd, chunk, CHUNK);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_set_errno(err, errno, "read %s", path);
        }
        buf_reset(&payload);
        if (n == 0) {
            mp_write_map(&payload, 1);
            mp_write_key_bool(&payload, "eof", true);
        } else {
            mp_write_bin(&payload, chunk, (size_t)n);
        }
        while (api_stream_write(s, buf_str(&payload)) == ERR_BUSY && !*api_stream_ended(s)) {
            l->writable = false;
            while (!l->writable && !*api_stream_ended(s)) {
                uv_run(api_loop(l->r->api), UV_RUN_ONCE);
            }
        }
        if (n == 0) {
            break;
        }
    }
    return 0; /* the node's error comes with the end */
}

static int load_once(struct load *l, int fd, const char *path, struct error *err)
{
    static const struct api_stream_events events = {.on_data = load_data, .on_writable = load_writable};
    struct rctl *r = l->r;
    struct value *params = value_map(&r->arena);
    struct api_stream *s;
    value_set(&r->arena, params, "node", value_cstr(&r->arena, l->node));
    if (opt(r, "name") != NULL) {
        value_set(&r->arena, params, "name", value_cstr(&r->arena, opt(r, "name")));
    }
    if (lseek(fd, 0, SEEK_SET) < 0) {
        return error_set_errno(err, errno, "%s must be a file", path);
    }
    if (api_stream_open(r->api, "imageload", params, &events, l, &s, err) != 0) {
        return err->code;
    }
    api_ping_start(r->api, false);
    int rc = send_file(l, s, fd, path, err);
    bool over = rc != 0 || api_run(r->api, api_stream_ended(s), WAIT_MS);
    struct error end = {0};
    int end_rc = api_stream_close(s, &end);
    api_ping_stop(r->api, false);
    if (rc == 0 && l->loaded == 0) {
        if (end_rc == 0) {
            error_set(&end, over ? ERR_CLOSED : ERR_TIMEOUT, "the node did not say what it loaded");
        }
        *err = end;
        rc = end.code;
    }
    return rc;
}

static bool was_cut(const struct rctl *r, int code)
{
    return code == ERR_CLOSED || code == ERR_CANCELED || code == ERR_NOT_LEADER || code == ERR_NO_QUORUM ||
           (code == ERR_SYSTEM && !api_refused(r->api));
}

/* "12.0 of 55.3 MiB": how much of the file was sent. */
static const char *how_far(struct rctl *r, int fd)
{
    struct stat st;
    off_t at = lseek(fd, 0, SEEK_CUR);
    if (at < 0 || fstat(fd, &st) != 0) {
        return "some of it";
    }
    return arena_printf(&r->arena, "%.1f of %.1f MiB", (double)at / (1 << 20), (double)st.st_size / (1 << 20));
}

static int load_on(struct rctl *r, const struct object *node, int fd, const char *path)
{
    struct error err = {0};
    struct load l = {.r = r, .node = arena_strndup(&r->arena, node->name.p, node->name.n)};
    int rc = load_once(&l, fd, path, &err);
    for (unsigned tries = 1; rc != 0 && was_cut(r, rc) && tries < LOAD_TRIES_MAX; tries++) {
        bool never = false;
        rctl_note(r, "note: loading %s on node %s was cut after %s (%s); it begins again, try %u of %u", path, l.node,
                  how_far(r, fd), err.message, tries + 1, LOAD_TRIES_MAX);
        api_run(r->api, &never, LOAD_PAUSE_MS * tries);
        err = (struct error){0};
        rc = load_once(&l, fd, path, &err);
    }
    if (rc != 0 && was_cut(r, rc)) {
        error_wrap(&err, "load %s on node %s, cut %u times, at last after %s", path, l.node, LOAD_TRIES_MAX,
                   how_far(r, fd));
        return rctl_fail(r, &err);
    }
    if (rc != 0) {
        error_wrap(&err, "load %s on node %s", path, l.node);
        return rctl_fail(r, &err);
    }
    return EXIT_DONE;
}

static int load_file(struct rctl *r, const char *path, const struct api_list *nodes)
{
    struct error err = {0};
    struct stat st;
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) != 0) {
        error_set_errno(&err, errno, "open %s", path);
        return rctl_fail(r, &err);
    }
    if (!S_ISREG(st.st_mode)) {
        error_set(&err, ERR_INVALID, "%s is no file; pack an image layout with: tar -C %s -cf image.tar .", path, path);
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < nodes->count; i++) {
        int one = load_on(r, nodes->items[i], fd, path);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static int run_load(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list nodes = {0};
    if (r->args.words_count == 0) {
        return rctl_usage(r, "which archive? An OCI or docker archive, as a file");
    }
    if (rctl_connect(r, &err) != 0 || image_nodes(r, &nodes, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int code = EXIT_DONE;
    for (unsigned i = 0; i < r->args.words_count; i++) {
        int one = load_file(r, r->args.words[i], &nodes);
        code = code == EXIT_DONE ? one : code;
    }
    return code;
}

static const struct command image_load = {
    .name = "load",
    .usage = "FILE... [--node NODE] [--name IMAGE]",
    .summary = "Put images from archives onto nodes",
    .examples = "  # onto all nodes\n"
                "  rctl image load build/images/hello-1.0.tar\n"
                "  rctl image load hello.tar --node n1\n"
                "  docker save web:3 -o web.tar && rctl image load web.tar\n"
                "  # as if it came from a registry\n"
                "  rctl image load web.tar --name registry.example:5000/web:3\n",
    .options = load_options,
    .options_count = ARRAY_SIZE(load_options),
    .run = run_load,
};

/* ---- list ---- */

const char *image_size_text(struct arena *a, int64_t bytes)
{
    return bytes >= 1000000 ? arena_printf(a, "%" PRId64 ".%" PRId64 "MB", bytes / 1000000, bytes / 100000 % 10)
                            : arena_printf(a, "%" PRId64 "kB", (bytes + 999) / 1000);
}

static int add_images(struct rctl *r, const struct object *node, const char ***cells, unsigned *rows)
{
    struct error err = {0};
    struct arena *a = &r->arena;
    struct value *params = value_map(a);
    value_set(a, params, "node", value_str(a, node->name));
    CLEANUP_REPLY struct api_reply reply = {0};
    if (api_read(r->api, "images", params, &reply, &err) != 0) {
        error_wrap(&err, "images of node %.*s", STR_ARG(node->name));
        return rctl_fail(r, &err);
    }
    struct mp images = mp_get(reply.result, "images");
    *cells = xrealloc(*cells, 4 * ((size_t)*rows + mp_count(images)) * sizeof(**cells));
    for (struct mp_iter it = mp_iter(images); mp_next(&it);) {
        struct str name = mp_str(mp_get(it.value, "name")), digest = mp_str(mp_get(it.value, "digest"));
        const char *colon = digest.n == 0 ? NULL : memchr(digest.p, ':', digest.n);
        struct str hex = colon == NULL ? digest : (struct str){colon + 1, digest.n - (size_t)(colon + 1 - digest.p)};
        const char *row[] = {arena_strndup(a, node->name.p, node->name.n),
                             name.n == 0 ? "<none>" : arena_strndup(a, name.p, name.n),
                             arena_strndup(a, hex.n == 0 ? "" : hex.p, MIN(hex.n, 12)),
                             image_size_text(a, mp_int(mp_get(it.value, "sizeBytes"), 0))};
        memcpy(*cells + 4 * (size_t)(*rows)++, row, sizeof(row));
    }
    return EXIT_DONE;
}

static int run_list(struct rctl *r)
{
    struct error err = {0};
    CLEANUP_LIST struct api_list nodes = {0};
    if (rctl_connect(r, &err) != 0 || image_nodes(r, &nodes, &err) != 0) {
        return rctl_fail(r, &err);
    }
    static const char *const head[] = {"NODE", "IMAGE", "DIGEST", "SIZE"};
    const char **cells = xcalloc(4, sizeof(*cells));
    unsigned rows = opt_flag(r, "no-headers") ? 0 : 1;
    memcpy(cells, head, sizeof(head));
    int code = EXIT_DONE;
    for (unsigned i = 0; i < nodes.count; i++) {
        int one = add_images(r, nodes.items[i], &cells, &rows);
        code = code == EXIT_DONE ? one : code;
    }
    CLEANUP_BUF struct buf out = BUF_INIT;
    grid_print(&out, cells, 4, rows);
    free(cells);
    rctl_write(r, &out);
    return code;
}

static const struct command image_list = {
    .name = "list",
    .alias = "ls",
    .usage = "[--node NODE]",
    .summary = "Which images nodes have",
    .examples = "  rctl image list\n"
                "  rctl image list --node n1\n"
                "  rctl image ls --no-headers\n",
    .options = list_options,
    .options_count = ARRAY_SIZE(list_options),
    .run = run_list,
};
static const struct command *const image_subs[] = {&image_build, &image_list, &image_load,
                                                   &image_pull,  &image_rm,   NULL};
const struct command command_image = {
    .name = "image",
    .alias = "images",
    .usage = "build DIR... | load FILE... | pull IMAGE... | list | rm IMAGE...",
    .summary = "Images: making them, and those on the nodes",
    .examples = "  rctl image load build/images/hello-1.0.tar\n"
                "  rctl image list\n",
    .subs = image_subs,
};
