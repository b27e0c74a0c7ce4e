/* Images that go when the disk fills up: which, in which order, and which never. The decision alone, a store on a disk
 * whose size the test says, and what the node tells about it. */
#include "tests/unit/agent_registry_kit.h"
#include "tests/unit/agent_whole.h"

#include <fcntl.h>

#include "agent/image/gc.h"
#include "agent/images.h"
#include "agent/pod/pods.h"
#include "agent/registries.h"
#include "tests/unit/agent_layout.h"

#define MINUTE INT64_C(60000)
#define HOUR   (60 * MINUTE)
#define GB     UINT64_C(1000000000)

/* ---- The decision ---- */

static void deleting_begins_at_one_threshold_and_ends_at_the_other(void **state)
{
    (void)state;
    struct image_gc_policy p = IMAGE_GC_DEFAULT;
    assert_int_equal(image_gc_wanted(&p, 100 * GB, 16 * GB), 0); /* 84 % */
    assert_int_equal(image_gc_wanted(&p, 100 * GB, 15 * GB), 5 * GB);
    assert_int_equal(image_gc_wanted(&p, 100 * GB, 0), 20 * GB);
    assert_int_equal(image_gc_wanted(&p, 0, 0), 0);
    assert_int_equal(image_gc_wanted(&p, 100 * GB, 200 * GB), 0);
    p.high_percent = 100;
    assert_int_equal(image_gc_wanted(&p, 100 * GB, 0), 0); /* never */
}

/* Letters are items in the order in which they were last used: small ones are kept, the answer is those that go. */
static void expect_choice(const struct image_gc_policy *p, const char *items, uint64_t wanted, const char *goes)
{
    struct image_gc_item list[16];
    char found[17] = "", *f = found;
    unsigned n = (unsigned)strlen(items);
    for (unsigned i = 0; i < n; i++) { /* in another order than their ages */
        unsigned at = (i * 7 + 3) % n;
        list[i] = (struct image_gc_item){.size_bytes = GB,
                                         .used_ms = 10 * HOUR + at * HOUR,
                                         .seen_ms = 100 * HOUR - (items[at] == 'Y' ? MINUTE : 50 * HOUR),
                                         .kept = items[at] == 'k',
                                         .what = (void *)(uintptr_t)&items[at]};
    }
    uint64_t bytes = image_gc_choose(p, list, n, wanted, 100 * HOUR);
    for (unsigned i = 0; i < n; i++) {
        if (list[i].goes) {
            *f++ = *(const char *)list[i].what;
        }
    }
    *f = '\0';
    assert_string_equal(found, goes);
    assert_int_equal(bytes, strlen(goes) * GB);
}

static void the_longest_unused_goes_first(void **state)
{
    (void)state;
    struct image_gc_policy p = IMAGE_GC_DEFAULT;
    expect_choice(&p, "ABCDE", 2 * GB, "AB");
    expect_choice(&p, "ABCDE", 1, "A");
    expect_choice(&p, "ABCDE", 0, "");
    expect_choice(&p, "ABCDE", 50 * GB, "ABCDE");
    expect_choice(&p, "kBkDE", 2 * GB, "BD"); /* in use, or loaded by hand */
    expect_choice(&p, "AYCD", 2 * GB, "AC");  /* Y came a minute ago */
    p.max_age_ms = 85 * HOUR + MINUTE;
    expect_choice(&p, "ABCDEFGH", 0, "ABCDE"); /* 90, 89, 88, 87, 86 hours; F 85 */
}

/* ---- A store ---- */

struct store {
    uv_loop_t loop;
    char dir[64];
    struct image_store *store;
    unsigned loaded;
};

static void on_loaded(const struct image_loaded *r, void *data)
{
    struct store *s = data;
    assert_null(r->error);
    s->loaded++;
}

static void open_store(struct store *s)
{
    char path[128];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/store", s->dir);
    if (image_store_new(&s->loop, path, NULL, &s->store, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

static void close_store(struct store *s)
{
    image_store_close(s->store, NULL, NULL);
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

static int setup(void **state)
{
    struct store *s = xcalloc(1, sizeof *s);
    snprintf(s->dir, sizeof s->dir, "/tmp/agent-gc-XXXXXX");
    assert_non_null(mkdtemp(s->dir));
    uv_loop_init(&s->loop);
    open_store(s);
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct store *s = *state;
    close_store(s);
    assert_int_equal(uv_loop_close(&s->loop), 0);
    fs_remove_tree(s->dir, NULL);
    free(s);
    return 0;
}

static void make(struct store *s, const char *name)
{
    char layout[128];
    struct tar t;
    tar_begin(&t, false);
    tar_add(&t, "motd", AE_IFREG, name);
    tar_end(&t);
    snprintf(layout, sizeof layout, "%s/%s", s->dir, name);
    make_layout(layout, name, &t, 1);
}

/* As if it had come from a registry, or by `rctl image load`. */
static void bring(struct store *s, const char *name, bool pulled)
{
    char layout[128];
    make(s, name);
    snprintf(layout, sizeof layout, "%s/%s", s->dir, name);
    (pulled ? image_load_pulled : image_load_path)(s->store, layout, name, on_loaded, s);
    uv_run(&s->loop, UV_RUN_DEFAULT);
}

static const char *present(struct store *s)
{
    static char out[256];
    struct image **list;
    unsigned n = image_list(s->store, &list);
    out[0] = '\0';
    for (unsigned i = 0; i < n; i++) {
        const char *slash = list[i]->refs[0] == NULL ? NULL : strrchr(list[i]->refs[0], '/');
        snprintf(out + strlen(out), sizeof out - strlen(out), "%s%.*s", i == 0 ? "" : " ",
                 slash == NULL ? 6 : (int)strcspn(slash + 1, ":"), slash == NULL ? "<none>" : slash + 1);
        image_unref(list[i]);
    }
    free(list);
    return out;
}

/* One look, so many milliseconds from now, with so many bytes too much on the disk. */
static struct image_gc_report look(struct store *s, int64_t later_ms, uint64_t wanted_bytes)
{
    static const struct image_gc_policy p = {80, 80, 2 * MINUTE, 0};
    struct image_gc_report r;
    image_gc(s->store, &p, 100 * GB, 20 * GB - wanted_bytes, false, env_wall_ms(env_real()) + later_ms, &r);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    return r;
}

#define NEED_ROOT()                                                                                                    \
    if (geteuid() != 0) {                                                                                              \
        skip();                                                                                                        \
    }

static void what_nobody_uses_goes_and_what_is_used_or_loaded_stays(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    bring(s, "used", true);
    bring(s, "unused", true);
    bring(s, "loaded", false);
    struct image *held = image_find(s->store, "used");
    struct image_gc_report r = look(s, MINUTE, GB); /* both are too young */
    assert_int_equal(r.chosen, 0);
    assert_int_equal(r.loaded, 1);
    r = look(s, HOUR, 0); /* there is room */
    assert_string_equal(present(s), "loaded unused used");
    r = look(s, HOUR, GB);
    assert_int_equal(r.chosen, 1);
    assert_true(r.chosen_bytes > 0 && r.loaded_bytes > 0);
    assert_string_equal(present(s), "loaded used");
    r = look(s, HOUR, GB);
    assert_int_equal(r.chosen, 0);
    assert_true(r.wanted_bytes == GB && !r.busy);
    image_unref(held);
    look(s, HOUR + MINUTE, GB);
    assert_string_equal(present(s), "loaded");
    /* Loaded as well, it is the user's; pulled again, it is the registry's. */
    bring(s, "unused", true);
    bring(s, "unused", false);
    look(s, 2 * HOUR, GB);
    assert_string_equal(present(s), "loaded unused");
    bring(s, "unused", true);
    look(s, 2 * HOUR, GB);
    assert_string_equal(present(s), "loaded");
}

static void when_it_was_used_outlives_the_agent(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    bring(s, "first", true);
    bring(s, "second", true);
    bring(s, "third", true);
    struct image *held = image_find(s->store, "first");
    look(s, HOUR, 0);
    image_unref(held);
    look(s, 2 * HOUR, 0); /* from here on it is unused, and that is on the disk */
    held = image_find(s->store, "second");
    look(s, 4 * HOUR, 0); /* noted while it is in use: the agent is killed here */
    close_store(s);
    image_unref(held);
    open_store(s);
    look(s, 5 * HOUR, 1);
    assert_string_equal(present(s), "first second");
    look(s, 5 * HOUR, 1);
    assert_string_equal(present(s), "second");
}

static void a_clock_that_goes_back_does_not_keep_images_for_ever(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    bring(s, "web", true);
    image_unref(image_find(s->store, "web"));
    look(s, -1000 * HOUR, GB);
    assert_string_equal(present(s), "web"); /* as if it had just come */
    look(s, -999 * HOUR, GB);
    assert_string_equal(present(s), "");
}

static void all_that_is_unused_goes_when_the_disk_is_nearly_full(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    static const struct image_gc_policy never = {100, 100, 2 * MINUTE, 0};
    struct image_gc_report r;
    bring(s, "a", true);
    bring(s, "b", true);
    bring(s, "loaded", false);
    image_gc(s->store, &never, 0, 0, true, env_wall_ms(env_real()) + HOUR, &r);
    assert_int_equal(r.chosen, 2);
    image_gc(s->store, &never, 0, 0, true, env_wall_ms(env_real()) + HOUR, &r);
    assert_true(r.busy && r.chosen == 0); /* still at it */
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_string_equal(present(s), "loaded");
}

/* A pull found the layer there and does not fetch it: it must be there at the end. */
static void a_layer_that_a_pull_counts_on_stays(void **state)
{
    struct store *s = *state;
    NEED_ROOT();
    bring(s, "web", true);
    struct image *im = image_find(s->store, "web");
    CLEANUP_FREE char *layer = xstrdup(im->layers[0]);
    image_unref(im);
    struct image_pull p = {.store = s->store, .begun = true, .ended = true};
    char reserved[1][IMAGE_HEX_SIZE];
    snprintf(reserved[0], sizeof reserved[0], "%s", strrchr(layer, '/') + 1);
    p.reserved = reserved;
    p.reserved_count = 1;
    list_push_back(&s->store->pulls, &p.link);
    look(s, HOUR, GB);
    assert_string_equal(present(s), "");
    assert_true(fs_exists(layer));
    list_remove(&p.link);
    bring(s, "other", true);
    assert_int_equal(image_remove(s->store, "other", NULL), 0);
    uv_run(&s->loop, UV_RUN_DEFAULT);
    assert_false(fs_exists(layer));
}

/* ---- The node ---- */

/* A real store in an agent that is hollow otherwise, with an image. */
static void give_store(struct fixture *f, bool pulled)
{
    struct store s = {.loop = f->loop};
    struct error err = {0};
    char path[128];
    snprintf(s.dir, sizeof s.dir, "%s", f->dir);
    image_store_close(f->agent->images, NULL, NULL);
    snprintf(path, sizeof path, "%s/real", f->dir);
    assert_int_equal(image_store_new(&f->loop, path, NULL, &f->agent->images, &err), 0);
    make(&s, "web");
    snprintf(path, sizeof path, "%s/web", f->dir);
    (pulled ? image_load_pulled : image_load_path)(f->agent->images, path, "web", on_loaded, &s);
    run_until(&f->loop, s.loaded == 1);
}

static void before_a_pod_goes_all_unused_images_go(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT();
    give_store(f, true);
    f->agent->image_gc.min_age_ms = 0;
    struct image *held = image_find(f->agent->images, "web");
    assert_false(images_relieve(f->agent)); /* in use: it is a pod's turn */
    image_unref(held);
    assert_true(images_relieve(f->agent)); /* its bytes may be enough */
    run_until(&f->loop, !images_relieve(f->agent));
    assert_null(image_find(f->agent->images, "web"));
}

static void the_status_says_how_far_a_pull_is(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT();
    give_store(f, false);
    struct server *slow = server_new((struct ways){.stalls = true});
    struct registry_config c = {.hosts = xcalloc(1, sizeof *c.hosts), .hosts_count = 1};
    c.hosts[0] = (struct registry_host){.name = xasprintf("127.0.0.1:%u", slow->port), .insecure = true};
    image_store_set_registries(f->agent->images, &c);
    CLEANUP_FREE char *pod =
        xasprintf(POD("far", "'containers':[{'name':'c','image':'127.0.0.1:%u/lib/x'}]"), slow->port);
    struct image_progress at = {0};
    CLEANUP_FREE char *ref = xasprintf("127.0.0.1:%u/lib/x", slow->port);
    master_order(f->master.pods, "ADDED", pod);
    run_until(&f->loop, image_pull_progress(f->agent->images, ref, &at) && at.done_bytes > 0);
    images_check(f->agent);
    run_until(&f->loop, strstr(f->master.last_status, "of 0.1 MB (0 %)") != NULL);
    assert_non_null(strstr(f->master.last_status, "Pulling image \\\"127.0.0.1:"));
    assert_non_null(strstr(f->master.last_status, "ContainerCreating"));
    run_until(&f->loop, master_heard(&f->master, "event Pulling"));
    struct container *box = pods_find(f->agent, STR("default"), STR("far"))->pod->containers[0];
    const char *said = box->message;
    images_check(f->agent); /* no step further: nothing is told */
    assert_ptr_equal(box->message, said);
    stop_agent(f); /* the pull ends with it */
    server_free(slow);
    open_agent(f);
    run_until(&f->loop, f->master.pods != NULL);
}

static unsigned logins(const struct fixture *f)
{
    return f->agent->images->registries->config.logins_count;
}

static void registries_that_change_are_asked_without_a_new_start(void **state)
{
    struct fixture *f = *state;
    struct agent *a = f->agent;
    struct error err = {0};
    NEED_ROOT();
    give_store(f, false);
    CLEANUP_FREE char *path = xasprintf("%s/registries.yaml", f->dir);
    CLEANUP_FREE char *logins_path = xasprintf("%s/logins.json", f->dir);
    CLEANUP_FREE char *with_logins = xasprintf("registries: [{host: b.example}]\ncredentialsFile: %s\n", logins_path);
#define PUT(at, text) assert_int_equal(fs_write_file(at, str_of(text), 0600, false, NULL), 0)
#define ASKS(host)    image_would_pull(a->images, host "/x:1", IMAGE_PULL_IF_NOT_PRESENT)
    assert_int_equal(registries_open(a, path, &err), 0);
    registries_look(a);
    assert_false(ASKS("a.example"));
    PUT(path, "registries: [{host: a.example}]");
    registries_look(a);
    assert_true(ASKS("a.example"));
    PUT(path, "registries: [{host: b.example, mirror: x}]"); /* what is wrong changes nothing, and is told once */
    registries_look(a);
    registries_look(a);
    assert_true(ASKS("a.example") && !ASKS("b.example"));
    run_until(&f->loop, master_heard(&f->master, "event InvalidRegistries"));
    PUT(path, with_logins); /* the other file is not there yet */
    registries_look(a);
    assert_false(ASKS("b.example"));
    PUT(logins_path, "{\"auths\": {\"b.example\": {\"username\": \"ann\", \"password\": \"sesame\"}}}");
    registries_look(a);
    assert_true(ASKS("b.example") && !ASKS("a.example"));
    assert_int_equal(logins(f), 1);
    PUT(logins_path, "{\"auths\": {}}"); /* it alone has changed */
    registries_look(a);
    assert_int_equal(logins(f), 0);
    unlink(path);
    registries_look(a);
    assert_false(ASKS("b.example"));
}

static void the_node_says_when_deleting_images_is_not_enough(void **state)
{
    struct fixture *f = *state;
    NEED_ROOT();
    give_store(f, false);
    images_collect(f->agent, 100 * GB, 50 * GB);
    images_collect(f->agent, 100 * GB, 10 * GB);
    run_until(&f->loop, master_heard(&f->master, "event FreeDiskSpaceFailed"));
    assert_int_not_equal(f->agent->gc_told_ms, 0);
    int64_t told_ms = f->agent->gc_told_ms;
    images_collect(f->agent, 100 * GB, 10 * GB); /* once in five minutes */
    assert_int_equal(f->agent->gc_told_ms, told_ms);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(deleting_begins_at_one_threshold_and_ends_at_the_other),
        cmocka_unit_test(the_longest_unused_goes_first),
        T(what_nobody_uses_goes_and_what_is_used_or_loaded_stays),
        T(when_it_was_used_outlives_the_agent),
        T(a_clock_that_goes_back_does_not_keep_images_for_ever),
        T(all_that_is_unused_goes_when_the_disk_is_nearly_full),
        T(a_layer_that_a_pull_counts_on_stays),
        cmocka_unit_test_setup_teardown(before_a_pod_goes_all_unused_images_go, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(the_status_says_how_far_a_pull_is, whole_setup, whole_teardown),
        cmocka_unit_test_setup_teardown(registries_that_change_are_asked_without_a_new_start, whole_setup,
                                        whole_teardown),
        cmocka_unit_test_setup_teardown(the_node_says_when_deleting_images_is_not_enough, whole_setup, whole_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
