/* What is kept of ConfigMaps and Secrets for a start without masters. */
#include "agent/pod/refs_kept.h"

#include <dirent.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/util/fsutil.h"
#include "tests/unit/agent_fakes.h"

static const struct log quiet = {.name = "test", .level = LOG_LEVEL_OFF};
static char dir[64];

static int make_dir(void **state)
{
    (void)state;
    snprintf(dir, sizeof dir, "/tmp/agent-kept-XXXXXX");
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    (void)state;
    return fs_remove_tree(dir, NULL);
}

static void keep(const char *kind, const char *name, const char *value)
{
    CLEANUP_FREE char *json = xasprintf("{'apiVersion':'v1','kind':'%s','metadata':{'name':'%s','namespace':'default',"
                                        "'uid':'%s'},'%s':{'k':'%s'}}",
                                        kind, name, name, strcmp(kind, "Secret") == 0 ? "stringData" : "data", value);
    CLEANUP_OBJECT struct object *o = object_of(json);
    struct refs_kept *k = refs_kept_open(dir, &quiet);
    refs_kept_put(k, o);
    refs_kept_close(k);
}

/* What a new agent finds. */
static struct refs *load(bool *whole)
{
    struct refs *r = refs_new();
    struct refs_kept *k = refs_kept_open(dir, &quiet);
    bool all = refs_kept_load(k, r);
    if (whole != NULL) {
        *whole = all;
    }
    refs_kept_close(k);
    return r;
}

/* Calls fn for each file with an object; returns how many there are. */
static unsigned each_file(void (*fn)(const char *path))
{
    char path[512];
    unsigned n = 0;
    DIR *d = opendir(dir);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (str_ends(str_of(e->d_name), STR(".ref"))) {
            fs_path(path, sizeof path, "%s/%s", dir, e->d_name);
            n++;
            if (fn != NULL) {
                fn(path);
            }
        }
    }
    closedir(d);
    return n;
}

static void what_was_kept_is_found_by_a_new_agent(void **state)
{
    (void)state;
    bool whole;
    keep("ConfigMap", "a", "open");
    keep("Secret", "a", "hush");
    keep("ConfigMap", "b", "1");
    keep("ConfigMap", "b", "2");
    struct refs *r = load(&whole);
    assert_int_equal(refs_count(r), 3);
    assert_non_null(refs_get(r, KIND_SECRET, STR("default"), STR("a")));
    const struct object *b = refs_get(r, KIND_CONFIGMAP, STR("default"), STR("b"));
    assert_true(str_is(mp_str(mp_path(object_mp(b), "data.k")), "2"));
    assert_false(whole); /* no list has told that these are all */
    assert_false(refs_synced(r));
    refs_free(r);
    struct refs_kept *k = refs_kept_open(dir, &quiet);
    refs_kept_whole(k);
    refs_kept_delete(k, KIND_CONFIGMAP, STR("default"), STR("b"));
    refs_kept_delete(k, KIND_CONFIGMAP, STR("default"), STR("none"));
    refs_kept_close(k);
    r = load(&whole);
    assert_int_equal(refs_count(r), 2);
    assert_true(whole);
    refs_free(r);
}

static void nothing_in_clear(const char *path)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct stat st;
    assert_int_equal(fs_read_file(path, 1 << 20, &b, NULL), 0);
    assert_null(memmem(b.data, b.size, "hush", 4));
    assert_null(memmem(b.data, b.size, "default", 7));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void no_secret_lies_there_in_clear(void **state)
{
    (void)state;
    struct stat st;
    keep("Secret", "quiet", "hush hush");
    assert_int_equal(each_file(nothing_in_clear), 1);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
}

static void damage(const char *path)
{
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 1), 0);
}

static void what_is_damaged_is_passed_over_and_taken_away(void **state)
{
    (void)state;
    bool whole;
    keep("ConfigMap", "a", "1");
    struct refs_kept *k = refs_kept_open(dir, &quiet);
    refs_kept_whole(k);
    refs_kept_close(k);
    each_file(damage);
    struct refs *r = load(&whole);
    assert_int_equal(refs_count(r), 0);
    assert_false(whole);
    assert_int_equal(each_file(NULL), 0);
    refs_free(r);
}

static char first[512];
static void take_first(const char *path)
{
    snprintf(first, sizeof first, "%s", path);
}

static void a_file_under_the_name_of_another_does_not_count(void **state)
{
    (void)state;
    char other[512];
    keep("ConfigMap", "a", "1");
    each_file(take_first);
    fs_path(other, sizeof other, "%s/%032d.ref", dir, 7);
    assert_int_equal(rename(first, other), 0);
    struct refs *r = load(NULL);
    assert_int_equal(refs_count(r), 0);
    refs_free(r);
}

static void without_its_key_nothing_is_known(void **state)
{
    (void)state;
    char key[128];
    keep("Secret", "a", "hush");
    fs_path(key, sizeof key, "%s/key", dir);
    assert_int_equal(truncate(key, 5), 0); /* the disk was full when it was made, or the power went */
    struct refs *r = load(NULL);
    assert_int_equal(refs_count(r), 0);
    refs_free(r);
    keep("Secret", "a", "hush");
    r = load(NULL);
    assert_int_equal(refs_count(r), 1);
    refs_free(r);
}

static void where_nothing_can_be_written_the_agent_goes_on(void **state)
{
    (void)state;
    char file[128];
    CLEANUP_OBJECT struct object *o =
        object_of("{'apiVersion':'v1','kind':'ConfigMap','metadata':{'name':'a','namespace':'b'}}");
    fs_path(file, sizeof file, "%s/file", dir);
    assert_int_equal(fs_write_file(file, STR_NONE, 0600, false, NULL), 0);
    struct refs_kept *k = refs_kept_open(file, &quiet); /* a file where the directory should be */
    struct refs *r = refs_new();
    refs_kept_put(k, o);
    refs_kept_whole(k);
    assert_false(refs_kept_load(k, r));
    refs_kept_close(k);
    refs_free(r);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_dir, remove_dir)
    const struct CMUnitTest tests[] = {
        TEST(what_was_kept_is_found_by_a_new_agent),
        TEST(no_secret_lies_there_in_clear),
        TEST(what_is_damaged_is_passed_over_and_taken_away),
        TEST(a_file_under_the_name_of_another_does_not_count),
        TEST(without_its_key_nothing_is_known),
        TEST(where_nothing_can_be_written_the_agent_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
