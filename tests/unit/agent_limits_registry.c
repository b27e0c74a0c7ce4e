/* Registries that mean harm, and layers that do: each is refused with a clear error within bounds, nothing of it stays
 * on the disk, nobody is told a login that is not his, and the next pull works. */
#include "tests/unit/agent_registry_kit.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>

#include "tests/unit/agent_layout.h"

/* ---- Transfers ---- */

static void bodies_that_stall_are_given_up(void **state)
{
    (void)state;
    static const struct ways rows[] = {{.stalls = true}, {.stalls_manifest = true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fetched f = {.patience_s = 1};
        struct server *s = server_new(rows[i]);
        assert_int_equal(fetch_version(s, ":latest", false, &f), ERR_CLOSED);
        if (strstr(f.error.message, "too slow") == NULL) {
            fail_msg("%s", f.error.message);
        }
        assert_true(i == 1 || s->layer_requests == REGISTRY_TRIES);
        done(&f);
        server_free(s);
    }
}

static void headers_and_words_without_end_are_cut(void **state)
{
    (void)state;
    expect_error((struct ways){.endless_headers = true}, false, ERR_TOO_LARGE, "more of image");
    expect_error((struct ways){.endless_words = true}, false, ERR_UNAUTHORIZED, "does not let");
}

/* A layer of `s` that is at another server, or at itself. */
static int fetch_redirected(struct server *s, const struct server *to, bool with_login, struct fetched *f)
{
    CLEANUP_FREE char *location = xasprintf("http://127.0.0.1:%u/v2/lib/x/blobs/sha256:%s", to->port, s->layer_hex);
    s->ways.location = location;
    int rc = fetch_version(s, ":latest", with_login, f);
    s->ways.location = NULL;
    return rc;
}

static void redirects_end(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *a = server_new((struct ways){0}), *b = server_new((struct ways){0});
    assert_int_equal(fetch_redirected(a, a, false, &f), ERR_CLOSED); /* to itself */
    assert_non_null(strstr(f.error.message, "redirects"));
    done(&f);
    CLEANUP_FREE char *back = xasprintf("http://127.0.0.1:%u/v2/lib/x/blobs/sha256:%s", a->port, a->layer_hex);
    b->ways.location = back;
    assert_int_equal(fetch_redirected(a, b, false, &f), ERR_CLOSED); /* in a circle */
    assert_non_null(strstr(f.error.message, "redirects"));
    assert_true(b->layer_requests <= 6);
    done(&f);
    server_free(a);
    server_free(b);
}

static void redirects_to_files_are_not_followed(void **state)
{
    (void)state;
    static const char *const to[] = {"file:///etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1/x", "data:,x"};
    for (size_t i = 0; i < ARRAY_SIZE(to); i++) {
        expect_error((struct ways){.location = to[i]}, false, ERR_CLOSED, "");
    }
}

static void another_host_gets_no_login(void **state)
{
    (void)state;
    static const struct ways rows[] = {{.basic = true}, {.token = true}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct fetched f = {0};
        struct server *a = server_new(rows[i]), *b = server_new((struct ways){0});
        if (fetch_redirected(a, b, true, &f) != 0) {
            fail_msg("%s", f.error.message);
        }
        expect_layout(a, &f);
        assert_int_equal(b->layer_requests, 1);
        assert_int_equal(b->logins, 0);
        assert_true(a->logins > 0);
        done(&f);
        server_free(a);
        server_free(b);
    }
}

static void a_wrong_login_is_tried_once(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *s = server_new((struct ways){.wrong_login = true});
    assert_int_equal(fetch_version(s, ":latest", true, &f), ERR_UNAUTHORIZED);
    assert_non_null(strstr(f.error.message, "with this login"));
    assert_null(strstr(f.error.message, "secret"));
    assert_int_equal(s->logins, 1);
    done(&f);
    server_free(s);
}

/* ---- Tokens ---- */

static void where_tokens_come_from_is_looked_at(void **state)
{
    (void)state;
    static const struct {
        const char *challenge, *words;
        int code;
    } rows[] = {
        {"Bearer realm=\"file:///etc/passwd\"", "not understood", ERR_PROTOCOL},
        {"Bearer realm=\"http://ann:x@127.0.0.1:1/token\"", "not understood", ERR_PROTOCOL},
        {"Bearer realm=\"\"", "not understood", ERR_PROTOCOL},
        {"Bearer", "not understood", ERR_PROTOCOL},
        {"Bearer realm=\"http://", "not understood", ERR_PROTOCOL},
        {"Bearer realm=\"http://127.0.0.1:1/token\"", "no token", ERR_CLOSED}, /* nobody is there */
        {"Negotiate", "does not let", ERR_UNAUTHORIZED},
        {"", "does not let", ERR_UNAUTHORIZED},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        expect_error((struct ways){.challenge = rows[i].challenge}, true, rows[i].code, rows[i].words);
    }
}

static void a_token_is_asked_for_what_is_pulled_and_no_more(void **state)
{
    (void)state;
    struct fetched f = {0};
    struct server *b = server_new((struct ways){.token_answer = "{\"token\":\"abc.def\"}"});
    CLEANUP_FREE char *challenge = xasprintf("Bearer realm=\"http://127.0.0.1:%u/token?account=x\",service=\"reg\","
                                             "scope=\"repository:victim/private:pull,push repository:lib/x:delete\"",
                                             b->port);
    struct server *a = server_new((struct ways){.challenge = challenge});
    if (fetch_version(a, ":latest", true, &f) != 0) {
        fail_msg("%s", f.error.message);
    }
    assert_null(strstr(b->last_token_request, "victim"));
    assert_null(strstr(b->last_token_request, "push"));
    assert_null(strstr(b->last_token_request, "delete"));
    assert_non_null(strstr(b->last_token_request, "account=x"));
    assert_non_null(strstr(b->last_token_request, "service=reg"));
    assert_non_null(strstr(b->last_token_request, "pull"));
    done(&f);
    server_free(a);
    server_free(b);
}

static void answers_that_are_no_token_are_refused(void **state)
{
    (void)state;
    static char large[70000], deep[30000];
    memset(large, ' ', sizeof large - 1);
    memset(deep, '[', sizeof deep - 1);
    static const char *const answers[] = {"",
                                          "[]",
                                          "{\"token\":5}",
                                          "{\"token\":\"\"}",
                                          "{\"token\":\"a\\r\\nX-Evil: 1\"}",
                                          "{\"token\":\"a b\"}",
                                          "{",
                                          "null",
                                          deep};
    for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
        expect_error((struct ways){.token = true, .token_answer = answers[i]}, true, ERR_PROTOCOL, "no token");
    }
    expect_error((struct ways){.token = true, .token_answer = large}, true, ERR_TOO_LARGE, "no token");
}

/* ---- Manifests ---- */

static void strange_manifests_are_refused(void **state)
{
    (void)state;
#define HEX "0123456789012345678901234567890123456789012345678901234567890123"
    static const struct {
        const char *manifest, *words;
    } rows[] = {
        {"", "cannot be read"},
        {"[]", "no JSON object"},
        {"{}", "names no config"},
        {"{\"config\":{\"digest\":\"sha512:" HEX "\"}}", "names no config"},
        {"{\"config\":{\"digest\":\"sha256:../../../../etc/passwd\"}}", "names no config"},
        {"{\"manifests\":[]}", "no image"},
        {"{\"manifests\":[{\"platform\":{}}]}", "no image"},
        {"{\"schemaVersion\":1,\"fsLayers\":[]}", "names no config"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool platform = strcmp(rows[i].words, "no image") == 0;
        expect_error((struct ways){.manifest = rows[i].manifest}, false, platform ? ERR_NOT_FOUND : ERR_PROTOCOL,
                     rows[i].words);
    }
    CLEANUP_BUF struct buf deep = BUF_INIT, many = BUF_INIT;
    buf_puts(&deep, "{\"config\":");
    memset(buf_reserve(&deep, 200000), '[', 200000);
    deep.size += 200000;
    expect_error((struct ways){.manifest = buf_cstr(&deep)}, false, ERR_PROTOCOL, "cannot be read");
    buf_puts(&many, "{\"manifests\":[");
    for (unsigned i = 0; i < 10000; i++) {
        buf_printf(&many, "%s{\"digest\":\"sha256:" HEX "\",\"platform\":{\"os\":\"linux\",\"architecture\":\"vax\"}}",
                   i == 0 ? "" : ",");
    }
    buf_puts(&many, "]}");
    expect_error((struct ways){.manifest = buf_cstr(&many)}, false, ERR_NOT_FOUND, "for linux/");
}

/* A manifest in place of the usual one, whose config and layer are the usual ones. */
static void expect_layers_error(const char *layers, int code, const char *words)
{
    struct fetched f = {0};
    struct server *s = server_new((struct ways){0});
    CLEANUP_BUF struct buf b = BUF_INIT;
    buf_printf(&b, "{\"config\":{\"digest\":\"sha256:%s\"},\"layers\":[", s->config_hex);
    for (const char *at = layers; *at != '\0'; at++) {
        if (*at == '@') {
            buf_puts(&b, s->layer_hex);
        } else {
            buf_putc(&b, *at);
        }
    }
    buf_puts(&b, "]}");
    s->ways.manifest = buf_cstr(&b);
    assert_int_equal(fetch_version(s, ":latest", false, &f), code);
    if (strstr(f.error.message, words) == NULL) {
        fail_msg("%s", f.error.message);
    }
    done(&f);
    server_free(s);
}

static void strange_layers_are_refused(void **state)
{
    (void)state;
    expect_layers_error("{\"digest\":\"sha256:@\"}", ERR_PROTOCOL, "no size");
    expect_layers_error("{\"digest\":\"sha256:@\",\"size\":-1}", ERR_PROTOCOL, "no size");
    expect_layers_error("{\"digest\":\"sha256:@\",\"size\":9000000000}", ERR_TOO_LARGE, "at most");
    expect_layers_error("{\"digest\":\"sha256:@\",\"size\":10}", ERR_TOO_LARGE, "more of a layer than it said");
    expect_layers_error("{\"digest\":\"sha256:@\",\"size\":200000}", ERR_CORRUPT, "other bytes");
    expect_layers_error("{\"digest\":\"sha256:../../../../../../tmp/x\",\"size\":1}", ERR_PROTOCOL, "no sha256 digest");
    expect_layers_error("{\"digest\":\"sha256:" HEX "\",\"size\":1}", ERR_NOT_FOUND, "has no a layer");
    CLEANUP_BUF struct buf many = BUF_INIT;
    for (unsigned i = 0; i < 10000; i++) {
        buf_printf(&many, "%s{\"digest\":\"sha256:%064u\",\"size\":1}", i == 0 ? "" : ",", i);
    }
    expect_layers_error(buf_cstr(&many), ERR_PROTOCOL, "10000 layers");
}

/* ---- A node's store ---- */

struct store {
    uv_loop_t loop;
    char dir[64];
    struct image_store *store;
    unsigned answered, imported;
    struct image *image;
    bool pulled;
    char reason[64], message[ERROR_MESSAGE_MAX];
    int code;
};

static void open_store(struct store *s, const char *dir)
{
    struct error err = {0};
    if (image_store_new(&s->loop, dir, NULL, &s->store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static int setup(void **state)
{
    struct store *s = xcalloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/agent-limits-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    uv_loop_init(&s->loop);
    CLEANUP_FREE char *dir = xasprintf("%s/store", s->dir);
    open_store(s, dir);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct store *s = *state;
    image_store_close(s->store, NULL, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    fs_remove_tree(s->dir, NULL);
    free(s);
    return 0;
}

static void on_image(const struct image_result *r, void *data)
{
    struct store *s = data;
    s->answered++;
    s->image = r->image;
    s->pulled = r->pulled;
    s->code = r->error == NULL ? 0 : r->error->code;
    snprintf(s->reason, sizeof s->reason, "%s", r->reason);
    snprintf(s->message, sizeof s->message, "%s", r->error == NULL ? "" : r->error->message);
}

static void allow(struct store *s, const struct server *from)
{
    struct registry_config c = {.hosts = xcalloc(1, sizeof *c.hosts), .hosts_count = 1};
    c.hosts[0] = (struct registry_host){.name = xasprintf("127.0.0.1:%u", from->port), .insecure = true};
    image_store_set_registries(s->store, &c);
}

/* What the server has, as a container asks for it. */
static void pull(struct store *s, const struct server *from)
{
    CLEANUP_FREE char *ref = xasprintf("127.0.0.1:%u/lib/x", from->port);
    allow(s, from);
    s->image = NULL;
    image_ensure(s->store, ref, IMAGE_PULL_ALWAYS, on_image, s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

/* Neither half a layer nor a name; what may stay for now are blobs that nobody names. */
static void expect_nothing_left(const struct store *s)
{
    CLEANUP_FREE char *command = xasprintf("cd %s/store && ! find layers refs images tmp -mindepth 1 | grep .", s->dir);
    assert_int_equal(system(command), 0);
}

#define NEED_ROOT()                                                                                                    \
    if (geteuid() != 0) {                                                                                              \
        skip();                                                                                                        \
    }

static struct tar small_layer(void)
{
    struct tar t;
    tar_begin(&t, false);
    tar_add(&t, "etc/motd", AE_IFREG, "hello");
    tar_end(&t);
    return t;
}

static void after_each_harm_the_next_pull_works(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    struct tar t = small_layer();
    struct ways good = {.layer = t.bytes, .layer_bytes = t.size};
    struct ways rows[] = {good, good, good, good, {.layers = 1}};
    rows[0].wrong_layer = true;
    rows[1].wrong_config = true;
    rows[2].endless_layer = true;
    rows[3].errors = true; /* the last one's layer is no tar */
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct server *bad = server_new(rows[i]);
        pull(s, bad);
        assert_null(s->image);
        assert_string_equal(s->reason, "ErrImagePull");
        assert_non_null(strstr(s->message, "failed to pull image"));
        expect_nothing_left(s);
        server_free(bad);
    }
    struct server *right = server_new(good);
    pull(s, right);
    if (s->image == NULL) {
        fail_msg("%s", s->message);
    }
    assert_true(s->pulled);
    CLEANUP_FREE char *motd = xasprintf("%s/etc/motd", s->image->layers[0]);
    assert_true(fs_exists(motd));
    image_unref(s->image);
    unsigned requests = right->layer_requests;
    pull(s, right); /* its layer is there */
    assert_int_equal(right->layer_requests, requests);
    image_unref(s->image);
    server_free(right);
    free(t.bytes);
}

static void a_store_closes_while_a_registry_stalls(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    struct server *slow = server_new((struct ways){.stalls = true});
    CLEANUP_FREE char *ref = xasprintf("127.0.0.1:%u/lib/x", slow->port);
    allow(s, slow);
    for (unsigned i = 0; i < 3; i++) {
        image_ensure(s->store, ref, IMAGE_PULL_ALWAYS, on_image, s); /* one pull for all */
    }
    while (slow->layer_requests == 0) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
    }
    struct image_progress at;
    while (!image_pull_progress(s->store, ref, &at) || at.done_bytes == 0) {
        uv_run(&s->loop, UV_RUN_NOWAIT);
    }
    assert_int_equal(at.all_bytes, LAYER_BYTES);
    assert_true(at.done_bytes < LAYER_BYTES && !at.queued && !at.unpacking);
    CLEANUP_FREE char *dir = xasprintf("%s/store", s->dir);
    image_store_close(s->store, NULL, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->answered, 3);
    assert_int_equal(s->code, ERR_CANCELED);
    assert_int_equal(slow->layer_requests, 1);
    open_store(s, dir);
    expect_nothing_left(s);
    server_free(slow);
}

static void registries_that_stall_do_not_hold_up_others(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    struct tar t = small_layer();
    struct server *slow = server_new((struct ways){.stalls_manifest = true}),
                  *good = server_new((struct ways){.layer = t.bytes, .layer_bytes = t.size});
    struct registry_config c = {.hosts = xcalloc(1, sizeof *c.hosts), .hosts_count = 1};
    c.hosts[0] = (struct registry_host){.name = xstrdup("*"), .insecure = true};
    image_store_set_registries(s->store, &c);
    for (unsigned i = 0; i < 20; i++) {
        CLEANUP_FREE char *ref = xasprintf("127.0.0.1:%u/lib/slow:%u", slow->port, i);
        image_ensure(s->store, ref, IMAGE_PULL_ALWAYS, on_image, s);
    }
    CLEANUP_FREE char *ref = xasprintf("127.0.0.1:%u/lib/x", good->port);
    image_ensure(s->store, ref, IMAGE_PULL_ALWAYS, on_image, s);
    while (s->answered == 0) {
        uv_run(&s->loop, UV_RUN_ONCE);
    }
    assert_true(s->image != NULL && s->pulled);                    /* the good one is the first */
    assert_int_equal(s->store->pulling, IMAGE_PULLS_HOST_MAX + 1); /* it is being tidied away */
    image_unref(s->image);
    CLEANUP_FREE char *dir = xasprintf("%s/store", s->dir);
    image_store_close(s->store, NULL, NULL);
    shutdown(slow->fd, SHUT_RDWR);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_int_equal(s->answered, 21);
    open_store(s, dir);
    server_free(slow);
    server_free(good);
    free(t.bytes);
}

static bool own_mounts; /* of this process, before there are threads that have the former ones */

/* A disk of its own, so small that the image does not fit: before it is fetched, and when it is unpacked. */
static void a_full_disk_is_said_and_nothing_is_left(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    if (!own_mounts) {
        skip();
    }
    static char content[90001];
    for (unsigned i = 0; i < sizeof content - 1; i++) {
        content[i] = (char)('a' + i * 7 % 23);
    }
    struct tar t;
    tar_begin(&t, false);
    tar_add(&t, "big", AE_IFREG, content);
    tar_end(&t);
    static const struct {
        const char *size, *words;
    } rows[] = {{"size=80k", "the node's disk has"}, {"size=160k", "No space left"}};
    CLEANUP_FREE char *dir = xasprintf("%s/store", s->dir);
    struct server *from = server_new((struct ways){.layer = t.bytes, .layer_bytes = t.size});
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        image_store_close(s->store, NULL, NULL);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_int_equal(mount("none", dir, "tmpfs", 0, rows[i].size), 0);
        open_store(s, dir);
        pull(s, from);
        assert_null(s->image);
        assert_int_equal(s->code, ERR_NO_SPACE);
        if (strstr(s->message, rows[i].words) == NULL) {
            fail_msg("%s", s->message);
        }
        expect_nothing_left(s);
        image_store_close(s->store, NULL, NULL);
        uv_run(&s->loop, UV_RUN_DEFAULT);
        assert_int_equal(umount(dir), 0);
        open_store(s, dir);
    }
    pull(s, from);
    assert_non_null(s->image);
    image_unref(s->image);
    server_free(from);
    free(t.bytes);
}

/* ---- Layers ---- */

/* Zeros that are packed a thousand to one, as a layer of a layout. */
static char *make_bomb(const char *dir, uint64_t bytes)
{
    static char zeros[1 << 20];
    struct archive *a = archive_write_new();
    char *path = xasprintf("%s/bomb", dir);
    archive_write_set_format_pax_restricted(a);
    archive_write_add_filter_gzip(a);
    archive_write_set_options(a, "gzip:compression-level=9");
    assert_int_equal(archive_write_open_filename(a, path), ARCHIVE_OK);
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, "zeros");
    archive_entry_set_filetype(e, AE_IFREG);
    archive_entry_set_perm(e, 0644);
    archive_entry_set_size(e, (la_int64_t)bytes);
    assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
    for (uint64_t put = 0; put < bytes; put += sizeof zeros) {
        assert_true(archive_write_data(a, zeros, sizeof zeros) == sizeof zeros);
    }
    archive_entry_free(e);
    archive_write_close(a);
    archive_write_free(a);
    return path;
}

static void a_bomb_is_not_unpacked(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    atomic_bool cancel = false;
    struct error err = {0};
    char diff[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *bomb = make_bomb(s->dir, 200u << 20);
    CLEANUP_FREE char *dir = xasprintf("%s/unpacked", s->dir);
    assert_int_equal(image_layer_unpack(bomb, NULL, NULL, dir, diff, &cancel, &err), ERR_TOO_LARGE);
    assert_non_null(strstr(err.message, "256 times its size"));
    struct stat st;
    CLEANUP_FREE char *zeros = xasprintf("%s/zeros", dir);
    assert_true(stat(zeros, &st) != 0 || (uint64_t)st.st_blocks * 512 < IMAGE_RATIO_FROM + (2u << 20));
}

static void entry(struct tar *t, const char *path, mode_t type, mode_t mode, const char *hardlink)
{
    struct archive_entry *e = archive_entry_new();
    archive_entry_set_pathname(e, path);
    archive_entry_set_filetype(e, type);
    archive_entry_set_perm(e, mode);
    archive_entry_set_rdevmajor(e, 1);
    archive_entry_set_rdevminor(e, 3);
    if (hardlink != NULL) {
        archive_entry_set_hardlink(e, hardlink);
    }
    assert_int_equal(archive_write_header(t->a, e), ARCHIVE_OK);
    archive_entry_free(e);
}

static int unpack(struct store *s, struct tar *t, const char *name, struct error *err)
{
    atomic_bool cancel = false;
    char diff[IMAGE_HEX_SIZE];
    CLEANUP_FREE char *dir = xasprintf("%s/%s", s->dir, name), *file = xasprintf("%s/%s.tar", s->dir, name);
    tar_end(t);
    assert_int_equal(fs_write_file(file, (struct str){t->bytes, t->size}, 0600, false, NULL), 0);
    free(t->bytes);
    return image_layer_unpack(file, NULL, NULL, dir, diff, &cancel, err);
}

static void paths_that_lead_out_are_refused(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    static const char *const names[] = {"../out", "a/../../out", "..", "a/..", "./../out", "a/./../../../out"};
    struct error err = {0};
    struct tar t;
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        char name[16];
        snprintf(name, sizeof name, "path-%zu", i);
        tar_begin(&t, false);
        tar_add(&t, names[i], AE_IFREG, "x");
        assert_int_not_equal(unpack(s, &t, name, &err), 0);
        assert_non_null(strstr(err.message, names[i]));
    }
    /* A link to a place outside, and then through it; a hard link to one. */
    CLEANUP_FREE char *out = xasprintf("%s/out", s->dir);
    tar_begin(&t, false);
    tar_add(&t, "way", AE_IFLNK, s->dir);
    tar_add(&t, "way/out", AE_IFREG, "x");
    (void)unpack(s, &t, "link", &err); /* what the link says is looked for in the layer, where there is nothing */
    assert_false(fs_exists(out));
    static const char *const targets[] = {"/etc/passwd", "../../../../etc/passwd", "way/etc/passwd"};
    for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
        char name[16];
        snprintf(name, sizeof name, "hard-%zu", i);
        tar_begin(&t, false);
        tar_add(&t, "way", AE_IFLNK, "/");
        entry(&t, "stolen", AE_IFREG, 0644, targets[i]);
        assert_int_not_equal(unpack(s, &t, name, &err), 0);
    }
    /* Whiteouts of what is outside. */
    static const char *const gone[] = {".wh...", "a/.wh..", "a/.wh."};
    assert_int_equal(fs_write_file(out, STR("x"), 0600, false, NULL), 0);
    for (size_t i = 0; i < ARRAY_SIZE(gone); i++) {
        char name[16];
        snprintf(name, sizeof name, "gone-%zu", i);
        tar_begin(&t, false);
        tar_add(&t, gone[i], AE_IFREG, "");
        (void)unpack(s, &t, name, &err);
        assert_true(fs_exists(out));
    }
}

/* libarchive would have other programs unpack what it cannot itself. */
static void no_program_is_run_for_a_layer(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    static const struct {
        const char *program, *magic;
        size_t size;
    } rows[] = {{"lrzip", "LRZI\0\6", 6}, {"lzop", "\x89LZO\0\r\n\x1a\n", 9}, {"grzip", "GRZipII\0\2\4:)", 12}};
    CLEANUP_FREE char *path = xstrdup(getenv("PATH")), *ran = xasprintf("%s/ran", s->dir);
    CLEANUP_FREE char *text = xasprintf("#!/bin/sh\n/bin/touch %s\n/bin/cat\n", ran);
    setenv("PATH", s->dir, 1);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        atomic_bool cancel = false;
        struct error err = {0};
        char diff[IMAGE_HEX_SIZE], blob[2048] = "";
        CLEANUP_FREE char *program = xasprintf("%s/%s", s->dir, rows[i].program), *file = xasprintf("%s/blob", s->dir),
                          *dir = xasprintf("%s/of-%s", s->dir, rows[i].program);
        memcpy(blob, rows[i].magic, rows[i].size);
        assert_int_equal(fs_write_file(program, str_of(text), 0755, false, NULL), 0);
        assert_int_equal(fs_write_file(file, (struct str){blob, sizeof blob}, 0600, false, NULL), 0);
        assert_int_equal(image_layer_unpack(file, NULL, NULL, dir, diff, &cancel, &err), ERR_CORRUPT);
        if (fs_exists(ran)) {
            setenv("PATH", path, 1);
            fail_msg("%s was run", rows[i].program);
        }
    }
    setenv("PATH", path, 1);
}

static void devices_are_left_out_and_setuid_stays_where_nobody_comes(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    struct error err = {0};
    struct tar t;
    struct stat st;
    tar_begin(&t, false);
    entry(&t, "null", AE_IFCHR, 0666, NULL);
    entry(&t, "disk", AE_IFBLK, 0666, NULL);
    entry(&t, "su", AE_IFREG, 04755, NULL);
    if (unpack(s, &t, "odd", &err) != 0) {
        fail_msg("%s", err.message);
    }
    CLEANUP_FREE char *null = xasprintf("%s/odd/null", s->dir), *disk = xasprintf("%s/odd/disk", s->dir),
                      *su = xasprintf("%s/odd/su", s->dir), *store = xasprintf("%s/store", s->dir);
    assert_false(fs_exists(null) || fs_exists(disk));
    assert_int_equal(stat(su, &st), 0);
    assert_int_equal(st.st_mode & 07777, 04755);
    assert_int_equal(stat(store, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0); /* of the node's users none gets there */
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_stall_are_given_up),
        cmocka_unit_test(headers_and_words_without_end_are_cut),
        cmocka_unit_test(redirects_end),
        cmocka_unit_test(redirects_to_files_are_not_followed),
        cmocka_unit_test(another_host_gets_no_login),
        cmocka_unit_test(a_wrong_login_is_tried_once),
        cmocka_unit_test(where_tokens_come_from_is_looked_at),
        cmocka_unit_test(a_token_is_asked_for_what_is_pulled_and_no_more),
        cmocka_unit_test(answers_that_are_no_token_are_refused),
        cmocka_unit_test(strange_manifests_are_refused),
        cmocka_unit_test(strange_layers_are_refused),
        T(after_each_harm_the_next_pull_works),
        T(a_store_closes_while_a_registry_stalls),
        T(registries_that_stall_do_not_hold_up_others),
        T(a_full_disk_is_said_and_nothing_is_left),
        T(a_bomb_is_not_unpacked),
        T(paths_that_lead_out_are_refused),
        T(no_program_is_run_for_a_layer),
        T(devices_are_left_out_and_setuid_stays_where_nobody_comes),
    };
    own_mounts = unshare(CLONE_NEWNS) == 0 && mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
