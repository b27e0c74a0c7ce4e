#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "agent/image/image.h"
#include "agent/image/image_int.h"
#include "agent/util/fsutil.h"
#include "base/mem.h"
#include "tests/unit/agent_layout.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

struct fixture {
    uv_loop_t loop;
    char dir[64];
    struct image_store *store;
    unsigned loaded_calls, result_calls;
    int loaded_error;
    char loaded_message[ERROR_MESSAGE_MAX], loaded_ref[IMAGE_REF_MAX];
    unsigned loaded_count;
    struct image *image;
    char reason[64], message[ERROR_MESSAGE_MAX];
};

static void make_simple(struct fixture *f, const char *name, const char *ref, const char *content)
{
    struct tar t;
    char layout[256];
    tar_begin(&t, false);
    tar_add(&t, "./etc/", AE_IFDIR, NULL);
    tar_add(&t, "./etc/motd", AE_IFREG, content);
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/%s", f->dir, name);
    make_layout(layout, ref, &t, 1);
}

static void make_archive(struct fixture *f, const char *layout, const char *archive)
{
    char cmd[512];
    snprintf(cmd, sizeof cmd, "tar -C %s/%s -cf %s/%s .", f->dir, layout, f->dir, archive);
    assert_int_equal(system(cmd), 0);
}

/* ---- Running ---- */

static void on_loaded(const struct image_loaded *r, void *data)
{
    struct fixture *f = data;
    f->loaded_calls++;
    f->loaded_error = r->error == NULL ? 0 : r->error->code;
    snprintf(f->loaded_message, sizeof f->loaded_message, "%s", r->error == NULL ? "" : r->error->message);
    snprintf(f->loaded_ref, sizeof f->loaded_ref, "%s", r->refs[0] == NULL ? "" : r->refs[0]);
    f->loaded_count = r->count;
}
static void on_image(const struct image_result *r, void *data)
{
    struct fixture *f = data;
    f->result_calls++;
    f->image = r->image;
    snprintf(f->reason, sizeof f->reason, "%s", r->reason);
    snprintf(f->message, sizeof f->message, "%s", r->error == NULL ? "" : r->error->message);
}

static void load(struct fixture *f, const char *what, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", f->dir, what);
    unsigned before = f->loaded_calls;
    image_load_path(f->store, path, name, on_loaded, f);
    assert_int_equal(f->loaded_calls, before);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->loaded_calls, before + 1);
}
static void ensure(struct fixture *f, const char *ref, enum image_policy policy)
{
    f->image = NULL;
    unsigned before = f->result_calls;
    image_ensure(f->store, ref, policy, on_image, f);
    assert_int_equal(f->result_calls, before);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->result_calls, before + 1);
}
static void open_store(struct fixture *f)
{
    char path[256];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/store", f->dir);
    assert_int_equal(image_store_new(&f->loop, path, NULL, &f->store, &err), 0);
}
static void close_store(struct fixture *f)
{
    image_store_close(f->store, NULL, NULL);
    uv_run(&f->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
    if (geteuid() != 0) {
        *state = NULL;
        return 0;
    }
    struct fixture *f = xcalloc(1, sizeof *f);
    uv_loop_init(&f->loop);
    strcpy(f->dir, "/tmp/reeve-image-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    open_store(f);
    *state = f;
    return 0;
}
static int teardown(void **state)
{
    struct fixture *f = *state;
    if (f == NULL) {
        return 0;
    }
    close_store(f);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    fs_remove_tree(f->dir, NULL);
    free(f);
    return 0;
}
#define NEED_ROOT(f)                                                                                                   \
    if ((f) == NULL)                                                                                                   \
    skip()

static void names_are_normalised(void **state)
{
    (void)state;
    static const char *const pairs[][2] = {
        {"nginx", "docker.io/library/nginx:latest"},
        {"hello:1.0", "docker.io/library/hello:1.0"},
        {"a/b:1", "docker.io/a/b:1"},
        {"host:5000/x", "host:5000/x:latest"},
        {"localhost/x:2", "localhost/x:2"},
        {"quay.io/a/b/c", "quay.io/a/b/c:latest"},
        {"x:1@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
         "docker.io/library/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    };
    static const char *const wrong[] = {"",     "UPPER", "a//b", "a:",  "a:b c",      "-a",
                                        "a/-b", "a.",    ":1",   "a@x", "a@sha256:12"};
    char out[IMAGE_REF_MAX];
    for (unsigned i = 0; i < ARRAY_SIZE(pairs); i++) {
        assert_int_equal(image_name_normalise(str_of(pairs[i][0]), out, NULL), 0);
        assert_string_equal(out, pairs[i][1]);
    }
    for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++) {
        assert_int_equal(image_name_normalise(str_of(wrong[i]), out, NULL), ERR_INVALID);
    }
    /* Written out in full a name is a name again, or it is refused. */
    char name[IMAGE_REF_MAX], again[IMAGE_REF_MAX];
    memset(name, 'c', sizeof name);
    assert_int_equal(image_name_normalise((struct str){name, 440}, out, NULL), ERR_INVALID);
    assert_int_equal(image_name_normalise((struct str){name, 420}, out, NULL), 0);
    assert_int_equal(image_name_normalise(str_of(out), again, NULL), 0);
    assert_string_equal(out, again);
}

static void the_policy_follows_the_tag_when_none_is_given(void **state)
{
    (void)state;
    assert_int_equal(image_policy_of(STR(""), "nginx"), IMAGE_PULL_ALWAYS);
    assert_int_equal(image_policy_of(STR(""), "nginx:1"), IMAGE_PULL_IF_NOT_PRESENT);
    assert_int_equal(image_policy_of(STR("Never"), "nginx"), IMAGE_PULL_NEVER);
    assert_int_equal(image_policy_of(STR("IfNotPresent"), "nginx"), IMAGE_PULL_IF_NOT_PRESENT);
}

static void a_layout_is_loaded_and_found_by_its_names(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1.0", "hello\n");
    load(f, "web", NULL);
    assert_int_equal(f->loaded_error, 0);
    assert_string_equal(f->loaded_ref, "docker.io/library/web:1.0");
    ensure(f, "web:1.0", IMAGE_PULL_IF_NOT_PRESENT);
    assert_non_null(f->image);
    assert_string_equal(f->image->cmd[1], "it");
    assert_string_equal(f->image->env[0], "A=1");
    assert_string_equal(f->image->cwd, "/w");
    assert_string_equal(f->image->user, "7");
    assert_int_equal(f->image->layers_count, 1);
    char path[512];
    CLEANUP_BUF struct buf b = BUF_INIT;
    snprintf(path, sizeof path, "%s/etc/motd", f->image->layers[0]);
    assert_int_equal(fs_read_file(path, 100, &b, NULL), 0);
    assert_string_equal(buf_cstr(&b), "hello\n");
    struct image *by_id = image_find(f->store, f->image->id);
    assert_ptr_equal(by_id, f->image);
    image_unref(by_id);
    by_id = image_find(f->store, "docker.io/library/web:1.0");
    assert_ptr_equal(by_id, f->image);
    image_unref(by_id);
    image_unref(f->image);
}

static void images_survive_a_restart_of_the_store(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1.0", "hello\n");
    load(f, "web", NULL);
    close_store(f);
    open_store(f);
    ensure(f, "web:1.0", IMAGE_PULL_NEVER);
    assert_non_null(f->image);
    assert_string_equal(f->image->refs[0], "docker.io/library/web:1.0");
    image_unref(f->image);
}

static void an_archive_in_chunks_takes_the_callers_name(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "1.0", "hello\n");
    make_archive(f, "web", "web.tar");
    char path[256];
    snprintf(path, sizeof path, "%s/web.tar", f->dir);
    CLEANUP_BUF struct buf b = BUF_INIT;
    assert_int_equal(fs_read_file(path, 1 << 20, &b, NULL), 0);
    struct image_load *l;
    assert_int_equal(image_load_begin(f->store, "mine:3", &l, NULL), 0);
    for (size_t at = 0; at < b.size; at += 1000) {
        assert_int_equal(image_load_write(l, b.data + at, MIN((size_t)1000, b.size - at), NULL), 0);
    }
    image_load_finish(l, on_loaded, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_equal(f->loaded_error, 0);
    ensure(f, "mine:3", IMAGE_PULL_NEVER);
    assert_non_null(f->image);
    image_unref(f->image);
    assert_int_equal(image_load_begin(f->store, NULL, &l, NULL), 0);
    image_load_write(l, "junk", 4, NULL);
    image_load_finish(l, on_loaded, f);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_int_not_equal(f->loaded_error, 0);
    assert_int_equal(image_load_begin(f->store, NULL, &l, NULL), 0);
    image_load_abort(l);
}

static void a_directory_of_images_is_loaded_and_a_broken_one_skipped(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    char dir[128], path[256];
    snprintf(dir, sizeof dir, "%s/all", f->dir);
    assert_int_equal(fs_make_dirs(dir, 0755, NULL), 0);
    make_simple(f, "all/one", "one:1", "1");
    make_simple(f, "two", "two:2", "2");
    make_archive(f, "two", "all/two.tar");
    snprintf(path, sizeof path, "%s/broken.tar", dir);
    assert_int_equal(fs_write_file(path, STR("no tar"), 0644, false, NULL), 0);
    image_load_dir(f->store, dir, on_loaded, f);
    /* asked while loading: the answer waits for it */
    ensure(f, "two:2", IMAGE_PULL_NEVER);
    assert_non_null(f->image);
    image_unref(f->image);
    assert_int_equal(f->loaded_count, 2);
    assert_int_not_equal(f->loaded_error, 0);
    assert_non_null(strstr(f->loaded_message, "broken.tar"));
    struct image **list;
    unsigned n = image_list(f->store, &list);
    assert_int_equal(n, 2);
    assert_string_equal(list[0]->refs[0], "docker.io/library/one:1");
    for (unsigned i = 0; i < n; i++) {
        image_unref(list[i]);
    }
    free(list);
}

static void a_damaged_blob_is_refused(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1", "hello\n");
    char cmd[512];
    /* the layer is the only blob that is a tar */
    snprintf(cmd, sizeof cmd, "f=$(grep -l motd %s/web/blobs/sha256/*) && sed -i s/hello/hellx/ $f", f->dir);
    assert_int_equal(system(cmd), 0);
    load(f, "web", NULL);
    assert_int_equal(f->loaded_error, ERR_CORRUPT);
    ensure(f, "web:1", IMAGE_PULL_IF_NOT_PRESENT);
    assert_null(f->image);
    snprintf(cmd, sizeof cmd, "test -z \"$(ls %s/store/layers %s/store/tmp | grep -v :)\"", f->dir, f->dir);
    assert_int_equal(system(cmd), 0);
}

static void absent_images_are_refused_with_a_reason(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    ensure(f, "nothing:1", IMAGE_PULL_NEVER);
    assert_null(f->image);
    assert_string_equal(f->reason, "ErrImageNeverPull");
    ensure(f, "nothing:1", IMAGE_PULL_ALWAYS);
    assert_string_equal(f->reason, "ErrImagePull");
    assert_non_null(strstr(f->message, "no registry at docker.io (registries.yaml"));
    assert_non_null(strstr(f->message, "rctl image load"));
    ensure(f, "Nothing Good", IMAGE_PULL_ALWAYS);
    assert_string_equal(f->reason, "InvalidImageName");
}

static void whiteouts_become_what_overlayfs_understands(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    struct tar t[2];
    char layout[256], path[512], value[4] = "";
    struct stat st;
    tar_begin(&t[0], false);
    tar_add(&t[0], "gone", AE_IFREG, "x");
    tar_end(&t[0]);
    tar_begin(&t[1], false);
    tar_add(&t[1], ".wh.gone", AE_IFREG, "");
    tar_add(&t[1], "d/", AE_IFDIR, NULL);
    tar_add(&t[1], "d/.wh..wh..opq", AE_IFREG, "");
    tar_end(&t[1]);
    snprintf(layout, sizeof layout, "%s/two", f->dir);
    make_layout(layout, "two:1", t, 2);
    load(f, "two", NULL);
    assert_string_equal(f->loaded_message, "");
    struct image *im = image_find(f->store, "two:1");
    assert_int_equal(im->layers_count, 2);
    snprintf(path, sizeof path, "%s/gone", im->layers[1]);
    assert_int_equal(lstat(path, &st), 0);
    assert_true(S_ISCHR(st.st_mode) && st.st_rdev == 0);
    snprintf(path, sizeof path, "%s/d", im->layers[1]);
    assert_int_equal(getxattr(path, "trusted.overlay.opaque", value, sizeof value), 1);
    assert_string_equal(value, "y");
    image_unref(im);
}

static void links_do_not_lead_out_of_a_layer(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    struct tar t;
    char layout[256], outside[128];
    snprintf(outside, sizeof outside, "%s/outside", f->dir);
    assert_int_equal(fs_make_dirs(outside, 0755, NULL), 0);
    tar_begin(&t, false);
    tar_add(&t, "evil", AE_IFLNK, outside);
    tar_add(&t, "evil/file", AE_IFREG, "x");
    tar_add(&t, "up", AE_IFLNK, "../../../../../../../../tmp");
    tar_add(&t, "up/reeve-image-escape", AE_IFREG, "x");
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/evil", f->dir);
    make_layout(layout, "evil:1", &t, 1);
    load(f, "evil", NULL);
    strcat(outside, "/file");
    assert_false(fs_exists(outside));
    assert_false(fs_exists("/tmp/reeve-image-escape"));
    tar_begin(&t, false);
    tar_add(&t, "a/../../b", AE_IFREG, "x");
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/dots", f->dir);
    make_layout(layout, "dots:1", &t, 1);
    load(f, "dots", NULL);
    assert_int_equal(f->loaded_error, ERR_INVALID);
}

static void a_docker_archive_is_loaded(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    struct tar t;
    char path[256], diff[IMAGE_HEX_SIZE];
    CLEANUP_BUF struct buf config = BUF_INIT;
    tar_begin(&t, false);
    tar_add(&t, "a", AE_IFREG, "x");
    tar_end(&t);
    image_sha256(t.bytes, t.size, diff);
    snprintf(path, sizeof path, "%s/docker/l1/layer.tar", f->dir);
    assert_int_equal(fs_make_parent(path, 0755, NULL), 0);
    assert_int_equal(fs_write_file(path, (struct str){t.bytes, t.size}, 0644, false, NULL), 0);
    free(t.bytes);
    buf_printf(&config, "{\"config\":{\"Entrypoint\":[\"/a\"]},\"rootfs\":{\"diff_ids\":[\"sha256:%s\"]}}", diff);
    snprintf(path, sizeof path, "%s/docker/c.json", f->dir);
    assert_int_equal(fs_write_file(path, buf_str(&config), 0644, false, NULL), 0);
    snprintf(path, sizeof path, "%s/docker/manifest.json", f->dir);
    assert_int_equal(
        fs_write_file(path, STR("[{\"Config\":\"c.json\",\"RepoTags\":[\"dock:1\"],\"Layers\":[\"l1/layer.tar\"]}]"),
                      0644, false, NULL),
        0);
    make_archive(f, "docker", "docker.tar");
    load(f, "docker.tar", NULL);
    assert_string_equal(f->loaded_message, "");
    struct image *im = image_find(f->store, "dock:1");
    assert_non_null(im);
    assert_string_equal(im->entrypoint[0], "/a");
    image_unref(im);
}

static void a_removed_image_goes_when_its_last_holder_lets_go(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1", "hello\n");
    load(f, "web", NULL);
    struct image *im = image_find(f->store, "web:1");
    CLEANUP_FREE char *layer = xstrdup(im->layers[0]);
    assert_int_equal(image_remove(f->store, "web:1", NULL), 0);
    assert_int_equal(image_remove(f->store, "web:1", NULL), ERR_NOT_FOUND);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_true(fs_exists(layer));
    assert_null(image_find(f->store, "web:1"));
    image_unref(im);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_false(fs_exists(layer));
}

static void what_is_no_name_is_told_without_its_login(void **state)
{
    (void)state;
    static const struct {
        const char *ref, *shown, *words;
    } rows[] = {
        {"https://reg.example/x:1", "https://reg.example/x:1", "without https://"},
        {"http://reg.example/x", "http://reg.example/x", "without a scheme"},
        {"ann:sesame@reg.example/x", "***@reg.example/x", "imagePullSecrets"},
        {"https://ann:sesame@reg.example/x", "https://***@reg.example/x", "without https://"},
        {"ann:sesame@reg.example/x@sha256:1234", "***@reg.example/x@sha256:1234", "imagePullSecrets"},
        {"a@b:sesame@reg/x", "***@reg/x", "invalid reference format"},
        {"x@sesame", "***@sesame", "invalid"},
        {"X Y", "X Y", "\"X Y\": invalid reference format"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char out[IMAGE_REF_MAX];
        struct error err = {0};
        image_name_shown(rows[i].ref, out);
        assert_string_equal(out, rows[i].shown);
        assert_int_equal(image_name_normalise(str_of(rows[i].ref), out, &err), ERR_INVALID);
        if (strstr(err.message, rows[i].words) == NULL) {
            fail_msg("%s", err.message);
        }
        assert_true(strstr(err.message, "sesame") == NULL || i == 6);
    }
    char out[IMAGE_REF_MAX];
    image_name_shown("nginx@sha256:abcd", out);
    assert_string_equal(out, "nginx@sha256:abcd");
}

static void a_removed_id_takes_all_names(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1", "hello\n");
    load(f, "web", NULL);
    load(f, "web", "other:2");
    struct image *im = image_find(f->store, "web:1"), *held = image_find(f->store, "other:2");
    assert_string_equal(im->id, held->id);
    assert_true(image_is_used(f->store, im)); /* by `held` */
    image_unref(held);
    assert_false(image_is_used(f->store, im));
    assert_int_equal(image_remove(f->store, im->id, NULL), 0);
    image_unref(im);
    uv_run(&f->loop, UV_RUN_DEFAULT);
    assert_null(image_find(f->store, "web:1"));
    assert_null(image_find(f->store, "other:2"));
    struct image **list;
    assert_int_equal(image_list(f->store, &list), 0);
    free(list);
}

static void closing_answers_what_is_pending(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT(f);
    make_simple(f, "web", "web:1", "hello\n");
    char path[256];
    snprintf(path, sizeof path, "%s/web", f->dir);
    for (unsigned i = 0; i < 3; i++) {
        image_load_path(f->store, path, NULL, on_loaded, f);
        image_ensure(f->store, "web:1", IMAGE_PULL_NEVER, on_image, f);
    }
    close_store(f);
    assert_int_equal(f->loaded_calls, 3);
    assert_int_equal(f->result_calls, 3);
    assert_null(f->image);
    open_store(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_normalised),
        cmocka_unit_test(the_policy_follows_the_tag_when_none_is_given),
        cmocka_unit_test_setup_teardown(a_layout_is_loaded_and_found_by_its_names, setup, teardown),
        cmocka_unit_test_setup_teardown(images_survive_a_restart_of_the_store, setup, teardown),
        cmocka_unit_test_setup_teardown(an_archive_in_chunks_takes_the_callers_name, setup, teardown),
        cmocka_unit_test_setup_teardown(a_directory_of_images_is_loaded_and_a_broken_one_skipped, setup, teardown),
        cmocka_unit_test_setup_teardown(a_damaged_blob_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(absent_images_are_refused_with_a_reason, setup, teardown),
        cmocka_unit_test_setup_teardown(whiteouts_become_what_overlayfs_understands, setup, teardown),
        cmocka_unit_test_setup_teardown(links_do_not_lead_out_of_a_layer, setup, teardown),
        cmocka_unit_test_setup_teardown(a_docker_archive_is_loaded, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_image_goes_when_its_last_holder_lets_go, setup, teardown),
        cmocka_unit_test_setup_teardown(a_removed_id_takes_all_names, setup, teardown),
        cmocka_unit_test(what_is_no_name_is_told_without_its_login),
        cmocka_unit_test_setup_teardown(closing_answers_what_is_pending, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
