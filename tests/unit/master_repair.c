/* Masters whose data is damaged or lost, as real processes: they come back by themselves, whatever was damaged and
 * wherever the way back was interrupted, and with all of the state. */
#include "tests/unit/kit/master_kit.h"

#include <dirent.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define OBJECTS 30u

static void write_some(struct kit *k, unsigned from, unsigned count)
{
    struct client *c = client_admin(k, kit_leader(k));
    for (unsigned i = from; i < from + count; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: c%u, namespace: default}, data: {k: "
             "\"a text that is long enough to be in more than one place %u\"}}}",
             i, i);
    }
    client_close(c);
}

static void raft_dir(struct kit *k, unsigned i, char *out, size_t size)
{
    snprintf(out, size, "%s/raft", k->masters[i].dir);
}

/* Path of the file in raft/ whose name begins so, the last one of them in order. */
static bool find_file(struct kit *k, unsigned i, const char *prefix, const char *suffix, char *out, size_t size)
{
    char dir[256], best[256] = "";
    raft_dir(k, i, dir, sizeof dir);
    DIR *d = opendir(dir);
    struct dirent *e;
    assert_non_null(d);
    while ((e = readdir(d)) != NULL) {
        size_t n = strlen(e->d_name), m = strlen(suffix);
        bool fits = strncmp(e->d_name, prefix, strlen(prefix)) == 0 && n >= m && strcmp(e->d_name + n - m, suffix) == 0;
        if (fits && strcmp(e->d_name, best) > 0) {
            snprintf(best, sizeof best, "%.255s", e->d_name);
        }
    }
    closedir(d);
    snprintf(out, size, "%s/%s", dir, best);
    return best[0] != '\0';
}

static void flip(const char *path, off_t at)
{
    CLEANUP_CLOSE int fd = open(path, O_RDWR);
    uint8_t byte;
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, at), 1);
    byte ^= 0x10;
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
}

static unsigned quarantines(struct kit *k, unsigned i)
{
    unsigned n = 0;
    DIR *d = opendir(k->masters[i].dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        n += strncmp(e->d_name, "quarantine-", 11) == 0;
    }
    closedir(d);
    return n;
}

static uint64_t id_of(struct kit *k, unsigned i)
{
    struct client *c = client_admin(k, i);
    uint64_t id = call(c, "hello", "{}") == 0 ? (uint64_t)int_at(c, "id") : 0;
    client_close(c);
    return id;
}

/* All three vote, and the one in question under another id than `old`. */
static void wait_for_voters(struct kit *k, unsigned i, uint64_t old)
{
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS;; kit_turn(k, 50)) {
        struct client *c = client_admin(k, (i + 1) % 3);
        unsigned voters = 0, old_ones = 0;
        if (call(c, "cluster", "{}") == 0) {
            const struct value *members = value_get(c->result, "members");
            VALUE_FOR(j, members)
            {
                voters += str_is(value_path_str(value_item(members, j), "role"), "voter");
                old_ones += (uint64_t)value_path_int(value_item(members, j), "id", 0) == old;
            }
        }
        client_close(c);
        if (voters == 3 && old_ones == 0) {
            return;
        }
        if (kit_now() > until) {
            kit_tell_log(k, i);
            fail_msg("master %u does not come back (%u voters)", i, voters);
        }
    }
}

/* What this master itself has applied, asked without the others. */
static char *state_of(struct kit *k, unsigned i)
{
    struct client *c = client_admin(k, i);
    CLEANUP_BUF struct buf b = BUF_INIT;
    if (call(c, "list", "{kind: ConfigMap, namespace: default, stale: true}") == 0) {
        const struct value *items = value_get(c->result, "items");
        VALUE_FOR(j, items)
        {
            const struct value *o = value_item(items, j);
            buf_printf(&b, "%s@%s=%s;", value_text(k, o, "metadata.name"), value_text(k, o, "metadata.resourceVersion"),
                       value_text(k, o, "data.k"));
        }
    }
    client_close(c);
    buf_cstr(&b);
    return (char *)buf_take(&b, NULL);
}

static void same_state(struct kit *k, unsigned i)
{
    CLEANUP_FREE char *theirs = state_of(k, (i + 1) % 3);
    assert_true(strlen(theirs) > 1000);
    for (int64_t until = kit_now() + KIT_WAIT_MS;; kit_turn(k, 50)) {
        CLEANUP_FREE char *mine = state_of(k, i);
        if (strcmp(mine, theirs) == 0) {
            return;
        }
        if (kit_now() > until) {
            assert_string_equal(mine, theirs);
        }
    }
}

static void wait_for_text(struct kit *k, unsigned i, const char *text)
{
    for (int64_t until = kit_now() + 2 * KIT_WAIT_MS;; kit_turn(k, 50)) {
        CLEANUP_FREE char *log = kit_log(k, i);
        if (strstr(log, text) != NULL) {
            return;
        }
        if (kit_now() > until) {
            kit_tell_log(k, i);
            fail_msg("master %u does not say \"%s\"", i, text);
        }
    }
}

static int set_up(void **state)
{
    static const char *const args[] = {"--snapshot-entries", "10", NULL};
    struct kit *k = kit_three(args);
    write_some(k, 0, OBJECTS);
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

/* ---- Damage of every kind ---- */

static void nothing_left(struct kit *k, unsigned i)
{
    char dir[256];
    raft_dir(k, i, dir, sizeof dir);
    DIR *d = opendir(dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        unlinkat(dirfd(d), e->d_name, 0);
    }
    closedir(d);
}

static void directory_gone(struct kit *k, unsigned i)
{
    char dir[256];
    nothing_left(k, i);
    raft_dir(k, i, dir, sizeof dir);
    assert_int_equal(rmdir(dir), 0);
}

static void newest_snapshot(struct kit *k, unsigned i)
{
    char path[512];
    assert_true(find_file(k, i, "snapshot-", ".meta", path, sizeof path));
    path[strlen(path) - strlen(".meta")] = '\0';
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    flip(path, st.st_size / 2);
}

/* Two snapshots are kept, each with a state: all of them are damaged. */
static void states_of_snapshots(struct kit *k, unsigned i)
{
    char dir[256], path[512];
    unsigned n = 0;
    raft_dir(k, i, dir, sizeof dir);
    DIR *d = opendir(dir);
    struct dirent *e;
    while ((e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, "state-", 6) == 0) {
            struct stat st;
            snprintf(path, sizeof path, "%s/%.200s", dir, e->d_name);
            assert_int_equal(stat(path, &st), 0);
            flip(path, st.st_size / 2);
            n++;
        }
    }
    closedir(d);
    assert_true(n > 0);
}

static void newest_snapshot_meta(struct kit *k, unsigned i)
{
    char path[512];
    assert_true(find_file(k, i, "snapshot-", ".meta", path, sizeof path));
    flip(path, 40);
}

static void closed_segment(struct kit *k, unsigned i)
{
    char path[512];
    struct stat st;
    assert_true(find_file(k, i, "0", "", path, sizeof path));
    assert_int_equal(stat(path, &st), 0);
    flip(path, st.st_size - 20);
}

static void closed_segment_cut(struct kit *k, unsigned i)
{
    char path[512];
    struct stat st;
    assert_true(find_file(k, i, "0", "", path, sizeof path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size - 9), 0);
}

static void term_altered(struct kit *k, unsigned i)
{
    char path[512];
    raft_dir(k, i, path, sizeof path);
    strcat(path, "/metadata1");
    flip(path, 16);
    path[strlen(path) - 1] = '2';
    if (access(path, F_OK) == 0) {
        flip(path, 16);
    }
}

static const struct damage {
    const char *name;
    void (*fn)(struct kit *k, unsigned i);
} damages[] = {
    {"an emptied directory", nothing_left},        {"a directory that is gone", directory_gone},
    {"the newest snapshot", newest_snapshot},      {"its head", newest_snapshot_meta},
    {"states of snapshots", states_of_snapshots},  {"a closed segment", closed_segment},
    {"a closed segment, cut", closed_segment_cut}, {"the term", term_altered},
};

/* A master that is stopped regularly has closed its segments. */
static void a_damaged_master_comes_back_by_itself_with_all_of_the_state(void **state)
{
    struct kit *k = *state;
    for (size_t d = 0; d < ARRAY_SIZE(damages); d++) {
        unsigned i = d % 2 == 0 ? (kit_leader(k) + 1) % 3 : kit_leader(k);
        uint64_t old = id_of(k, i);
        print_message("damaging master %u (id %u): %s\n", i, (unsigned)old, damages[d].name);
        write_some(k, 1000 + (unsigned)d * 10, 3);
        kit_stop(k, i, SIGTERM);
        damages[d].fn(k, i);
        kit_start(k, i);
        wait_for_voters(k, i, old);
        same_state(k, i);
        assert_int_not_equal(id_of(k, i), old);
    }
    assert_true(quarantines(k, 0) <= 3 && quarantines(k, 1) <= 3 && quarantines(k, 2) <= 3);
}

static void an_entry_of_a_killed_master_that_was_altered_is_not_taken_for_a_torn_write(void **state)
{
    struct kit *k = *state;
    unsigned i = (kit_leader(k) + 1) % 3;
    uint64_t old = id_of(k, i);
    char path[512];
    write_some(k, 2000, 5);
    kit_stop(k, i, SIGKILL);
    char dir[256];
    raft_dir(k, i, dir, sizeof dir);
    for (unsigned n = 1; n < 1000; n++) { /* the one in use is the first that is there */
        snprintf(path, sizeof path, "%s/open-%u", dir, n);
        if (access(path, F_OK) == 0) {
            break;
        }
    }
    flip(path, 8 + 8 + 8 + 16 + 30); /* in the first entry's bytes */
    kit_start(k, i);
    wait_for_voters(k, i, old);
    same_state(k, i);
}

static void damage_met_while_serving_is_repaired_in_the_same_process(void **state)
{
    struct kit *k = *state;
    unsigned i = (kit_leader(k) + 1) % 3;
    uint64_t old = id_of(k, i);
    kit_stop(k, i, SIGTERM);
    kit_start_armed(k, i, "apply_damaged=error@12");
    pid_t pid = k->masters[i].pid;
    while (quarantines(k, i) > 0) { /* older ones would be taken for a sign that the disk is not to blame */
        char cmd[300];
        snprintf(cmd, sizeof cmd, "rm -rf %s/quarantine-*", k->masters[i].dir);
        assert_int_equal(system(cmd), 0);
    }
    int64_t until = kit_now() + KIT_WAIT_MS;
    for (unsigned n = 3000; quarantines(k, i) == 0; n += 60) { /* what came in a snapshot was not applied */
        assert_true(kit_now() < until);
        write_some(k, n, 60);
    }
    wait_for_voters(k, i, old);
    same_state(k, i);
    assert_int_equal(k->masters[i].pid, pid);
    assert_int_equal(quarantines(k, i), 1);
}

/* ---- Interrupted ---- */

static void a_crash_at_any_step_of_the_way_back_is_gone_on_from(void **state)
{
    static const char *const steps[] = {
        "repair_before_marker", "quarantine_before_rename", "quarantine_after_rename",
        "rejoin_before_ask",    "rejoin_before_identity",   "pair_before_key",
        "pair_before_cert",     "rejoin_before_config",     "promise_before_note",
    };
    struct kit *k = *state;
    for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
        char armed[64];
        bool crash = s % 3 != 2;
        unsigned i = (kit_leader(k) + 1) % 3;
        uint64_t old = id_of(k, i);
        print_message("%s at %s\n", crash ? "a crash" : "an error", steps[s]);
        kit_stop(k, i, SIGTERM);
        directory_gone(k, i);
        if (s % 2 == 0) { /* something to be moved aside */
            char path[256];
            raft_dir(k, i, path, sizeof path);
            assert_int_equal(mkdir(path, 0700), 0);
            strcat(path, "/metadata1");
            CLEANUP_CLOSE int fd = open(path, O_CREAT | O_WRONLY, 0600);
            assert_int_equal(write(fd, "this is no metadata of 32 bytes length", 38), 38);
        }
        snprintf(armed, sizeof armed, "%s=%s", steps[s], crash ? "crash" : "error");
        kit_start_armed(k, i, armed);
        assert_int_equal(kit_wait_end(k, i), crash ? 128 + SIGKILL : 1);
        kit_start(k, i);
        wait_for_voters(k, i, old);
        same_state(k, i);
    }
}

static void a_crash_while_a_snapshot_is_installed_is_gone_on_from(void **state)
{
    struct kit *k = *state;
    for (unsigned n = 0; n < 2; n++) {
        unsigned i = (kit_leader(k) + 1) % 3;
        uint64_t old = id_of(k, i);
        kit_stop(k, i, SIGTERM);
        directory_gone(k, i);
        kit_start_armed(k, i, n == 0 ? "install_before_put=crash" : "install_after_put=crash");
        assert_int_equal(kit_wait_end(k, i), 128 + SIGKILL);
        kit_start(k, i);
        wait_for_voters(k, i, old);
        same_state(k, i);
    }
}

/* ---- Told to stop ---- */

static void told_to_stop_on_the_way_back_it_ends_with_0_and_goes_on_from_there(void **state)
{
    static const char *const steps[] = {
        "run_before_repair", "repair_before_marker",   "quarantine_before_rename", "quarantine_after_rename",
        "rejoin_before_ask", "rejoin_before_identity", "rejoin_before_config",
    };
    struct kit *k = *state;
    unsigned i = (kit_leader(k) + 1) % 3;
    for (size_t s = 0; s < ARRAY_SIZE(steps); s++) {
        uint64_t old = id_of(k, i);
        print_message("told at %s\n", steps[s]);
        kit_stop(k, i, SIGTERM);
        directory_gone(k, i);
        kit_start_armed(k, i, arena_printf(&k->arena, "%s=stand", steps[s]));
        kit_wait_standing(k, i);
        kit_stop(k, i, s % 2 == 0 ? SIGTERM : SIGINT);
        kit_start(k, i);
        wait_for_voters(k, i, old);
        same_state(k, i);
    }
}

/* Between two times that it serves, of which the second is not to come. The damage was not forgotten. */
static void told_to_stop_after_damage_was_met_it_ends_with_0_and_comes_back_later(void **state)
{
    struct kit *k = *state;
    unsigned i = (kit_leader(k) + 1) % 3;
    uint64_t old = id_of(k, i);
    kit_stop(k, i, SIGTERM);
    kit_start_armed(k, i, "apply_damaged=error@12,run_after_serving=stand");
    int64_t until = kit_now() + KIT_WAIT_MS;
    for (unsigned n = 3000; !kit_stands(k, i); n += 60) { /* what came in a snapshot was not applied */
        assert_true(kit_now() < until);
        write_some(k, n, 60);
    }
    kit_stop(k, i, SIGTERM);
    assert_int_equal(quarantines(k, i), 1);
    kit_start(k, i);
    wait_for_text(k, i, "going on with a repair that was interrupted");
    wait_for_voters(k, i, old);
    same_state(k, i);
}

/* A connection that is accepted and then silent. */
static void told_to_stop_while_a_master_does_not_answer_it_does_not_wait_for_it(void **state)
{
    struct kit *k = *state;
    CLEANUP_CLOSE int silent = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof at;
    char path[256], text[64];
    unsigned i = (kit_leader(k) + 1) % 3;
    uint64_t old = id_of(k, i);
    assert_int_equal(bind(silent, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(silent, 8), 0);
    assert_int_equal(getsockname(silent, (struct sockaddr *)&at, &size), 0);
    kit_stop(k, i, SIGTERM);
    directory_gone(k, i);
    snprintf(path, sizeof path, "%s/masters", k->masters[i].dir);
    CLEANUP_FREE char *masters = NULL;
    size_t n;
    assert_int_equal(pki_read_file(path, 1 << 16, &masters, &n, NULL), 0);
    snprintf(text, sizeof text, "99 voter 127.0.0.1:%u\n", ntohs(at.sin_port));
    assert_int_equal(pki_write_file(path, text, strlen(text), 0644, NULL), 0);
    kit_start(k, i);
    struct pollfd p = {.fd = silent, .events = POLLIN};
    assert_int_equal(poll(&p, 1, KIT_WAIT_MS), 1);
    int64_t told = kit_now();
    kit_stop(k, i, SIGTERM);
    assert_true(kit_now() - told < 20000); /* it would wait for 25 seconds */
    assert_int_equal(pki_write_file(path, masters, n, 0644, NULL), 0);
    kit_start(k, i);
    wait_for_voters(k, i, old);
    same_state(k, i);
}

/* ---- Nobody to ask ---- */

static void without_a_leader_it_waits_and_says_so_and_stops_when_told(void **state)
{
    struct kit *k = *state;
    uint64_t old = id_of(k, 0);
    for (unsigned i = 0; i < 3; i++) {
        kit_stop(k, i, SIGTERM);
    }
    directory_gone(k, 0);
    kit_start(k, 0);
    wait_for_text(k, 0, "reeve-master recover");
    kit_stop(k, 0, SIGTERM); /* ends with 0 */
    kit_start(k, 0);
    kit_start(k, 1);
    kit_start(k, 2);
    wait_for_voters(k, 0, old);
    same_state(k, 0);
    CLEANUP_FREE char *log = kit_log(k, 0);
    assert_non_null(strstr(log, "going on with a repair that was interrupted"));
}

static void a_single_master_refuses_and_changes_nothing(void **state)
{
    (void)state;
    static const char *const args[] = {"--snapshot-entries", "10", NULL};
    struct kit *k = kit_one(args);
    write_some(k, 0, 25);
    kit_stop(k, 0, SIGTERM);
    char path[512];
    assert_true(find_file(k, 0, "0", "", path, sizeof path));
    flip(path, 70);
    const char *const run[] = {"run", "--dir", k->masters[0].dir, NULL};
    for (unsigned n = 0; n < 2; n++) {
        CLEANUP_FREE char *said = NULL;
        assert_int_equal(kit_run(k, &said, run), 1);
        assert_non_null(strstr(said, strrchr(path, '/') + 1));
        assert_non_null(strstr(said, "only voter"));
        assert_non_null(strstr(said, "reeve-master recover --dir"));
        assert_non_null(strstr(said, "goes up to revision"));
    }
    assert_int_equal(quarantines(k, 0), 0);
    flip(path, 70); /* put back as it was */
    kit_start(k, 0);
    kit_leader(k);
    kit_stop(k, 0, SIGTERM);
    directory_gone(k, 0);
    CLEANUP_FREE char *said = NULL;
    assert_int_equal(kit_run(k, &said, run), 1);
    assert_non_null(strstr(said, "empty, but this master has voted"));
    kit_free(k);
}

static void a_first_start_that_was_interrupted_is_done_again(void **state)
{
    (void)state;
    struct kit *k = kit_new();
    kit_init(k, NULL);
    char path[256];
    raft_dir(k, 0, path, sizeof path);
    assert_int_equal(mkdir(path, 0700), 0);
    strcat(path, "/metadata1");
    CLEANUP_CLOSE int fd = open(path, O_CREAT | O_WRONLY, 0600);
    static const uint8_t term_one[32] = {1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_int_equal(write(fd, term_one, sizeof term_one), sizeof term_one);
    kit_start(k, 0);
    kit_leader(k);
    kit_free(k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_damaged_master_comes_back_by_itself_with_all_of_the_state, set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_entry_of_a_killed_master_that_was_altered_is_not_taken_for_a_torn_write,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_met_while_serving_is_repaired_in_the_same_process, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crash_at_any_step_of_the_way_back_is_gone_on_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crash_while_a_snapshot_is_installed_is_gone_on_from, set_up, tear_down),
        cmocka_unit_test_setup_teardown(told_to_stop_on_the_way_back_it_ends_with_0_and_goes_on_from_there, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(told_to_stop_after_damage_was_met_it_ends_with_0_and_comes_back_later, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(told_to_stop_while_a_master_does_not_answer_it_does_not_wait_for_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(without_a_leader_it_waits_and_says_so_and_stops_when_told, set_up, tear_down),
        cmocka_unit_test(a_single_master_refuses_and_changes_nothing),
        cmocka_unit_test(a_first_start_that_was_interrupted_is_done_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
