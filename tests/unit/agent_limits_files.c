/* Trees of files that a pod leaves behind to be hard to measure or to delete: deeper than descriptors and stacks go,
 * and than a path can name. */
#include "tests/unit/agent_fakes.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/pod/evict.h"
#include "agent/util/fsutil.h"

#define LEVELS      3000u /* with names that make a path far longer than PATH_MAX */
#define DESCRIPTORS 100u  /* and far fewer of these than levels */
#define MI          (1ull << 20)

static char root[64];
static struct rlimit before;

static int set_up(void **state)
{
    (void)state;
    struct rlimit few;
    snprintf(root, sizeof root, "/tmp/reeve-limits-XXXXXX");
    assert_non_null(mkdtemp(root));
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    few = (struct rlimit){DESCRIPTORS, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(fs_remove_tree(root, NULL), 0);
    return 0;
}

static void write_at(int dir, const char *name, size_t n)
{
    static char bytes[MI];
    memset(bytes, 7, sizeof bytes);
    assert_true(n <= sizeof bytes);
    CLEANUP_CLOSE int fd = openat(dir, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, bytes, n), n);
    assert_int_equal(fsync(fd), 0);
}

/* A chain of directories below `path`, with a file of 1 MiB in the deepest. On the way each has a small directory
 * beside the chain. */
static void make_deep(const char *path, unsigned levels)
{
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < levels; i++) {
        assert_int_equal(mkdirat(at, "beside", 0700), 0);
        assert_int_equal(mkdirat(at, "down", 0700), 0);
        int next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        assert_true(next >= 0);
        close(at);
        at = next;
    }
    write_at(at, "hidden", MI);
    close(at);
}

static void what_lies_deep_is_measured(void **state)
{
    (void)state;
    struct stat st;
    make_deep(root, LEVELS);
    assert_int_equal(stat(root, &st), 0);
    uint64_t of_directories = (uint64_t)LEVELS * 2 * (uint64_t)st.st_blocks * 512;
    assert_in_range(evict_measure(root), of_directories + MI, of_directories + 2 * MI);
}

static void what_lies_deep_is_deleted(void **state)
{
    (void)state;
    char path[128];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/volume", root);
    assert_int_equal(mkdir(path, 0700), 0);
    make_deep(path, LEVELS);
    /* and several such branches, the names taken that the deletion could think of */
    for (unsigned i = 0; i < 3; i++) {
        char branch[160];
        snprintf(branch, sizeof branch, "%s/.deep-%u", path, i);
        assert_int_equal(mkdir(branch, 0700), 0);
        make_deep(branch, LEVELS / 3);
    }
    if (fs_remove_tree(path, &err) != 0) {
        fail_msg("%s", err.message);
    }
    assert_false(fs_exists(path));
}

/* A link to a place of the node's is not followed, however deep it lies. */
static void links_that_lie_deep_are_not_followed(void **state)
{
    (void)state;
    char path[128], kept[128], file[160];
    snprintf(kept, sizeof kept, "%s/kept", root);
    snprintf(path, sizeof path, "%s/volume", root);
    assert_int_equal(mkdir(kept, 0700), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    CLEANUP_CLOSE int node = open(kept, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    write_at(node, "large", MI);
    int at = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (unsigned i = 0; i < LEVELS / 10; i++) {
        assert_int_equal(symlinkat(kept, at, "kept"), 0);
        assert_int_equal(mkdirat(at, "down", 0700), 0);
        int next = openat(at, "down", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        close(at);
        at = next;
    }
    close(at);
    /* no less and no more than without the links, which on some file systems take a block each */
    assert_true(evict_measure(path) <= (uint64_t)LEVELS / 10 * 2 * 4096 + 4096);
    assert_int_equal(fs_remove_tree(path, NULL), 0);
    snprintf(file, sizeof file, "%s/large", kept);
    assert_true(fs_exists(file));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_lies_deep_is_measured, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_lies_deep_is_deleted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(links_that_lie_deep_are_not_followed, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
