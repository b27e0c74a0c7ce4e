/* What init, join and run say when they cannot do their work: exactly what is wrong, on stderr, with exit code 1 (2:
 * the command line). */
#include <arpa/inet.h>
#include <dirent.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "tests/unit/kit/master_kit.h"

/* A prepared master with some state, not running. */
static int set_up(void **state)
{
    struct kit *k = kit_one(NULL);
    struct client *c = client_admin(k, 0);
    must(c, "create", "{object: {apiVersion: v1, kind: Secret, metadata: {name: s}, stringData: {k: v}}}");
    client_close(c);
    kit_stop(k, 0, SIGTERM);
    *state = k;
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static char *path_of(struct kit *k, const char *file)
{
    return arena_printf(&k->arena, "%s/%s", k->masters[0].dir, file);
}

static void expect_run(struct kit *k, int code, const char *text, const char *more)
{
    const char *args[] = {"run", "--dir", k->masters[0].dir, NULL};
    char *said;
    int rc = kit_run(k, &said, args);
    if (rc != code || strstr(said, text) == NULL || (more != NULL && strstr(said, more) == NULL)) {
        fail_msg("expected exit code %d, \"%s\" and \"%s\"; got %d and: %s", code, text, more == NULL ? "" : more, rc,
                 said);
    }
    free(said);
}

static char *read_file(struct kit *k, const char *file)
{
    char *text = NULL;
    struct error err = {0};
    if (pki_read_file(path_of(k, file), 1 << 20, &text, NULL, &err) != 0) {
        fail_msg("%s", err.message);
    }
    return text;
}

static void write_file(struct kit *k, const char *file, const char *text)
{
    struct error err = {0};
    if (pki_write_file(path_of(k, file), text, strlen(text), 0600, &err) != 0) {
        fail_msg("%s", err.message);
    }
}

/* Runs with `text` in place of the file (NULL: without it), then puts back what was there. */
static void expect_with(struct kit *k, const char *file, const char *text, const char *said, const char *more)
{
    char *kept = access(path_of(k, file), F_OK) == 0 ? read_file(k, file) : NULL;
    if (text == NULL) {
        unlink(path_of(k, file));
    } else {
        write_file(k, file, text);
    }
    expect_run(k, 1, said, more);
    if (kept != NULL) {
        write_file(k, file, kept);
    } else {
        unlink(path_of(k, file));
    }
    pki_free_key(kept);
}

static void serves(struct kit *k)
{
    kit_start(k, 0);
    kit_leader(k);
    struct client *c = client_admin(k, 0);
    must(c, "get", "{kind: Secret, name: s}");
    client_close(c);
    kit_stop(k, 0, SIGTERM);
}

static void test_wrong_command_lines(void **state)
{
    struct kit *k = *state;
    static const struct {
        const char *args[6];
        const char *text;
    } rows[] = {
        {{NULL}, "a command is missing"},
        {{"frobnicate", "--dir", "x", NULL}, "unknown command: frobnicate"},
        {{"run", NULL}, "--dir is missing"},
        {{"run", "--dir", "x", "--log-level", "loud", NULL}, "bad value of an option: loud"},
        {{"run", "--dir", "x", "--colour", NULL}, "unrecognized option"},
        {{"init", "--dir", "x", "--node-grace", "0", NULL}, "bad value of an option: 0"},
        {{"join", "--dir", "x", NULL}, "join needs --token"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char *said;
        int rc = kit_run(k, &said, rows[i].args);
        if (rc != 2 || strstr(said, rows[i].text) == NULL || strstr(said, "usage:") == NULL) {
            fail_msg("row %zu: got %d and: %s", i, rc, said);
        }
        free(said);
    }
    const char *help[] = {"--help", NULL}, *version[] = {"--version", NULL};
    assert_int_equal(kit_run(k, NULL, help), 0);
    assert_int_equal(kit_run(k, NULL, version), 0);
}

static void test_init_does_not_touch_a_master_that_is_there(void **state)
{
    struct kit *k = *state;
    const char *args[] = {"init", "--dir", k->masters[0].dir, NULL};
    char *said;
    assert_int_equal(kit_run(k, &said, args), 1);
    assert_non_null(strstr(said, "holds a master already"));
    free(said);
    const char *nowhere[] = {"init", "--dir", "/proc/nothing/here", NULL};
    assert_int_equal(kit_run(k, &said, nowhere), 1);
    assert_non_null(strstr(said, "/proc/nothing/here"));
    free(said);
    serves(k);
}

static void test_run_without_a_data_directory(void **state)
{
    struct kit *k = *state;
    const char *args[] = {"run", "--dir", "/nowhere/at/all", NULL};
    char *said;
    assert_int_equal(kit_run(k, &said, args), 1);
    assert_non_null(strstr(said, "/nowhere/at/all"));
    assert_non_null(strstr(said, "reeve-master init"));
    free(said);
}

static void test_a_port_in_use_is_named(void **state)
{
    struct kit *k = *state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    a.sin_port = htons((uint16_t)atoi(strchr(k->masters[0].addr, ':') + 1));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(fd, 1), 0);
    expect_run(k, 1, k->masters[0].addr, "in use");
    close(fd);
    serves(k);
}

static void test_missing_files_are_named(void **state)
{
    struct kit *k = *state;
    static const char *const files[] = {"master.yaml", "ca.crt", "master.crt", "master.key", "seal.key"};
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        expect_with(k, files[i], NULL, path_of(k, files[i]), "o such file");
    }
    serves(k);
}

static void test_damaged_settings_are_named(void **state)
{
    struct kit *k = *state;
    char *good = read_file(k, "master.yaml");
    expect_with(k, "master.yaml", "id: [", "master.yaml:", NULL);
    expect_with(k, "master.yaml", "[1, 2]", "expected a map", NULL);
    expect_with(k, "master.yaml", "", "master.yaml", "expected one document");
    expect_with(k, "master.yaml", "id: 1\nlisten: 127.0.0.1:1\n", "id, listen and advertise are required", NULL);
    expect_with(k, "master.yaml", arena_printf(&k->arena, "%sport: 7\n", good), "unknown setting \"port\"",
                "master.yaml:");
    expect_with(k, "master.yaml", arena_printf(&k->arena, "%sagentHeartbeatMs: 99999999\n", good), "agentHeartbeatMs",
                NULL);
    expect_with(k, "master.yaml", "id: 1\nlisten: nonsense\nadvertise: 127.0.0.1:1\n", "nonsense", NULL);
    free(good);
    serves(k);
}

#define HEX_KEY      "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define TWO_KEYS(id) HEX_KEY " " id " seals\n" HEX_KEY " " id "\n"

static void test_damaged_keys_are_named(void **state)
{
    struct kit *k = *state;
    expect_with(k, "seal.key", "zz", "seal.key is damaged", "64 hexadecimal digits");
    expect_with(k, "seal.key", "", "seal.key is damaged", NULL);
    expect_with(k, "seal.key", "+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1+1\n",
                "seal.key is damaged", NULL);
    expect_with(k, "seal.key", TWO_KEYS("0123456789abcdef"), "seal.key is damaged", NULL); /* no id of theirs */
    expect_with(k, "master.crt", "garbage", "master.crt", NULL);
    expect_with(k, "master.key", "garbage", "master.key", NULL);
    expect_with(k, "ca.crt", "garbage", "ca.crt", NULL);
    expect_with(k, "ca.key", "garbage", "ca.key", NULL);
    serves(k);
}

static void test_a_certificate_of_another_cluster_is_named(void **state)
{
    struct kit *k = *state;
    struct pki_identity who = {.role = PKI_ROLE_MASTER, .name = "1"};
    char *cert, *key, *kept = read_file(k, "master.key");
    struct error err = {0};
    char *ca, *ca_key;
    assert_int_equal(pki_make_ca("other", &ca, &ca_key, &err), 0);
    assert_int_equal(pki_issue(ca, ca_key, &who, "127.0.0.1", 600, &cert, &key, &err), 0);
    write_file(k, "master.key", key);
    expect_with(k, "master.crt", cert, "not signed by", NULL);
    expect_run(k, 1, "does not belong to", NULL); /* the certificate is ours again, the key is not */
    write_file(k, "master.key", kept);
    expect_with(k, "ca.key", ca_key, "ca.key", "does not belong to");
    free(cert);
    pki_free_key(key);
    free(ca);
    pki_free_key(ca_key);
    pki_free_key(kept);
    serves(k);
}

static void test_another_seal_key_is_found_out(void **state)
{
    struct kit *k = *state;
    expect_with(k, "seal.key", HEX_KEY "\n", "seal", "log entry");
    serves(k);
}

static void test_a_data_directory_that_is_no_place_to_write(void **state)
{
    struct kit *k = *state;
    char *raft = path_of(k, "raft"), *aside = path_of(k, "raft.aside");
    assert_int_equal(rename(raft, aside), 0);
    int fd = creat(raft, 0600);
    assert_true(fd >= 0);
    close(fd);
    expect_run(k, 1, raft, NULL);
    unlink(raft);
    assert_int_equal(rename(aside, raft), 0);
    serves(k);
}

/* Root writes anywhere: run as somebody else. */
static void test_a_read_only_data_directory_is_named(void **state)
{
    struct kit *k = *state;
    enum { NOBODY = 65534 };
    if (geteuid() == 0) {
        struct dirent *e;
        DIR *d = opendir(k->masters[0].dir);
        while ((e = readdir(d)) != NULL) {
            assert_int_equal(chown(path_of(k, e->d_name), NOBODY, NOBODY), 0);
        }
        closedir(d);
        assert_int_equal(chmod(k->dir, 0755), 0);
        assert_int_equal(chown(k->masters[0].dir, NOBODY, NOBODY), 0);
        d = opendir(path_of(k, "raft"));
        while ((e = readdir(d)) != NULL) {
            assert_int_equal(chown(arena_printf(&k->arena, "%s/raft/%s", k->masters[0].dir, e->d_name), NOBODY, NOBODY),
                             0);
        }
        closedir(d);
    }
    chmod(path_of(k, "raft"), 0500);
    int pipes[2], status;
    assert_int_equal(pipe(pipes), 0);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(pipes[1], 2);
        dup2(pipes[1], 1);
        close(pipes[0]);
        close(pipes[1]);
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0)) {
            _exit(77);
        }
        alarm(10); /* it must not serve */
        execl(kit_program(), "reeve-master", "run", "--dir", k->masters[0].dir, NULL);
        _exit(77);
    }
    close(pipes[1]);
    char said[4096] = "";
    size_t n = 0;
    for (ssize_t got; (got = read(pipes[0], said + n, sizeof said - 1 - n)) > 0;) {
        n += (size_t)got;
    }
    close(pipes[0]);
    waitpid(pid, &status, 0);
    chmod(path_of(k, "raft"), 0700);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77) {
        skip(); /* the program is where nobody can reach it */
    }
    said[n] = '\0';
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 1 || strstr(said, "raft") == NULL ||
        (strstr(said, "ermission denied") == NULL && strstr(said, "not writable") == NULL)) {
        fail_msg("status %d: %s", status, said);
    }
    serves(k);
}

/* The largest closed segment of the log. */
static char *segment_of(struct kit *k)
{
    DIR *d = opendir(path_of(k, "raft"));
    assert_non_null(d);
    struct dirent *e;
    struct stat st;
    off_t largest = 0;
    char *segment = NULL;
    while ((e = readdir(d)) != NULL) {
        char *path = arena_printf(&k->arena, "%s/raft/%s", k->masters[0].dir, e->d_name);
        if (strspn(e->d_name, "0123456789-") == 33 && stat(path, &st) == 0 && st.st_size > largest) {
            largest = st.st_size;
            segment = path;
        }
    }
    closedir(d);
    assert_non_null(segment);
    assert_true(largest > 64);
    return segment;
}

static void test_a_damaged_log_stops_the_start(void **state)
{
    struct kit *k = *state;
    char *segment = segment_of(k);
    uint8_t byte[16], bad[16];
    memset(bad, 0xa5, sizeof bad);
    FILE *f = fopen(segment, "r+");
    fseek(f, 40, SEEK_SET);
    assert_int_equal(fread(byte, 1, sizeof byte, f), sizeof byte);
    fseek(f, 40, SEEK_SET);
    fwrite(bad, 1, sizeof bad, f);
    fclose(f);
    expect_run(k, 1, "only voter", strrchr(segment, '/') + 1);
    f = fopen(segment, "r+");
    fseek(f, 40, SEEK_SET);
    fwrite(byte, 1, sizeof byte, f);
    fclose(f);
    serves(k);
}

static void test_join_where_nobody_listens(void **state)
{
    struct kit *k = *state;
    char *said;
    int64_t start = kit_now();
    assert_int_equal(kit_join_with(k, 0, "abcdef.0123456789abcdef@00112233445566778899aabbccddeeff", &said), 1);
    k->masters_count--;
    assert_non_null(strstr(said, k->masters[0].addr));
    assert_non_null(strstr(said, "refused"));
    assert_true(kit_now() - start < 10000);
    free(said);
}

static void test_the_first_tokens_are_kept_out_of_the_directory_once_stored(void **state)
{
    struct kit *k = *state;
    assert_int_not_equal(access(path_of(k, "tokens"), F_OK), 0);
    struct stat st;
    static const char *const secret[] = {"ca.part", "master.key", "seal.key", "admin.config"};
    assert_int_not_equal(access(path_of(k, "ca.key"), F_OK), 0); /* nor the CA's key, once it is in parts */
    for (size_t i = 0; i < ARRAY_SIZE(secret); i++) {
        assert_int_equal(stat(path_of(k, secret[i]), &st), 0);
        assert_int_equal(st.st_mode & 0077, 0);
    }
    assert_int_equal(stat(k->masters[0].dir, &st), 0);
    assert_int_equal(st.st_mode & 0077, 0);
}

/* A kit takes down what a test has left frozen, for itself and for the test after it. */
static void test_a_frozen_master_is_taken_down(void **state)
{
    (void)state;
    struct kit *k = kit_one(NULL);
    struct client *c = client_admin(k, 0);
    kit_freeze(k, 0);
    struct stream *asked = stream_open(c, "hello", "{}");
    assert_true(stream_quiet(asked, 100));
    kit_thaw_all(k);
    stream_wait_end(asked);
    stream_close(asked);
    must(c, "hello", "{}");
    kit_freeze(k, 0);
    kit_free(k); /* the client is open, and the master must still end by SIGTERM and with 0 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_first_tokens_are_kept_out_of_the_directory_once_stored),
        cmocka_unit_test(test_wrong_command_lines),
        cmocka_unit_test(test_init_does_not_touch_a_master_that_is_there),
        cmocka_unit_test(test_run_without_a_data_directory),
        cmocka_unit_test(test_a_port_in_use_is_named),
        cmocka_unit_test(test_missing_files_are_named),
        cmocka_unit_test(test_damaged_settings_are_named),
        cmocka_unit_test(test_damaged_keys_are_named),
        cmocka_unit_test(test_a_certificate_of_another_cluster_is_named),
        cmocka_unit_test(test_another_seal_key_is_found_out),
        cmocka_unit_test(test_a_data_directory_that_is_no_place_to_write),
        cmocka_unit_test(test_a_damaged_log_stops_the_start),
        cmocka_unit_test(test_join_where_nobody_listens),
        cmocka_unit_test(test_a_read_only_data_directory_is_named),
        cmocka_unit_test(test_a_frozen_master_is_taken_down),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
