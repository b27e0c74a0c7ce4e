/* Backups as a user makes and restores them: rctl and reeve-master as programs, under load, cut, crashed, damaged. */
#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "proto/backup.h"
#include "tests/unit/kit/master_kit.h"

#define PASSPHRASE "correct horse battery"
#define GOLDEN     "tests/unit/data/backup-format-1.rvb"

/* ---- Programs ---- */

/* PROGRAM of the build ("rctl", "tests/reeve-master"); both outputs to a file. */
static pid_t start_program(const char *program, const char *failpoints, const char *out, const char *const *args)
{
    char path[600];
    const char *argv[24] = {path};
    snprintf(path, sizeof path, "%.*s/%s", (int)(strrchr(kit_program(), '/') - kit_program()), kit_program(), program);
    for (unsigned n = 1; args[n - 1] != NULL; n++) {
        assert_true(n < ARRAY_SIZE(argv) - 1);
        argv[n] = args[n - 1];
    }
    pid_t parent = getpid(), pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        setsid(); /* no terminal to ask on */
        if (failpoints != NULL) {
            setenv("REEVE_FAILPOINTS", failpoints, 1);
        }
        int fd = open(out, O_WRONLY | O_CREAT | O_APPEND, 0600), null = open("/dev/null", O_RDONLY);
        if (getppid() != parent || fd < 0 || dup2(null, 0) < 0 || dup2(fd, 1) < 0 || dup2(fd, 2) < 0) {
            _exit(126);
        }
        execv(path, (char *const *)argv);
        _exit(127);
    }
    return pid;
}

static bool is_over(pid_t pid, int *rc)
{
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) != pid) {
        return false;
    }
    *rc = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return true;
}

/* Its exit code; what it said is in k->arena. */
static int run(struct kit *k, const char *program, const char *failpoints, const char **said, const char *const *args)
{
    char out[200];
    snprintf(out, sizeof out, "%s/program.out", k->dir);
    unlink(out);
    pid_t pid = start_program(program, failpoints, out, args);
    int rc = -1;
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; !is_over(pid, &rc);) {
        if (kit_now() > until) {
            kill(pid, SIGKILL);
            fail_msg("%s %s does not end", program, args[0]);
        }
        kit_turn(k, 20);
    }
    struct error err = {0};
    char *text;
    assert_int_equal(pki_read_file(out, 1 << 20, &text, NULL, &err), 0);
    *said = arena_strdup(&k->arena, text);
    free(text);
    return rc;
}

/* ---- A cluster, its files ---- */

static const char *in_dir(struct kit *k, const char *name)
{
    return arena_printf(&k->arena, "%s/%s", k->dir, name);
}

static void put_file(const char *path, const void *p, size_t n)
{
    struct error err = {0};
    assert_int_equal(pki_write_file(path, p, n, 0600, &err), 0);
}

static const char *passphrase_file(struct kit *k)
{
    const char *path = in_dir(k, "passphrase");
    put_file(path, PASSPHRASE "\n", sizeof PASSPHRASE);
    return path;
}

/* The first administrator's configuration, pointed at master i. */
static const char *config_for(struct kit *k, unsigned i)
{
    char *text, path[300];
    struct error err = {0};
    const char *out = in_dir(k, "rctl.config");
    snprintf(path, sizeof path, "%s/admin.config", k->masters[0].dir);
    assert_int_equal(pki_read_file(path, 1 << 20, &text, NULL, &err), 0);
    char *at = strstr(text, k->masters[0].addr);
    assert_non_null(at);
    struct buf b = BUF_INIT;
    buf_append(&b, text, (size_t)(at - text));
    buf_puts(&b, k->masters[i].addr);
    buf_puts(&b, at + strlen(k->masters[0].addr));
    put_file(out, b.data, b.size);
    buf_close(&b);
    free(text);
    return out;
}

static int save(struct kit *k, unsigned by, const char *file, const char *option, const char **said)
{
    const char *args[] = {"backup",          "save", file, "--passphrase-file", passphrase_file(k), "--config",
                          config_for(k, by), option, NULL};
    return run(k, "rctl", NULL, said, args);
}

static const char *saved(struct kit *k, unsigned by)
{
    const char *said, *file = in_dir(k, "backup.rvb");
    if (save(k, by, file, "--force", &said) != 0) {
        fail_msg("rctl backup save: %s", said);
    }
    assert_non_null(strstr(said, "saved: cluster"));
    assert_int_equal(access(in_dir(k, "backup.rvb.partial"), F_OK), -1);
    return file;
}

/* What `rctl backup show` tells. */
static struct value *show(struct kit *k, const char *file)
{
    const char *said, *args[] = {"backup", "show", file, "-o", "json", "--passphrase-file", passphrase_file(k), NULL};
    if (run(k, "rctl", NULL, &said, args) != 0) {
        fail_msg("rctl backup show: %s", said);
    }
    return kit_doc(k, "%s", said);
}

/* A place for a restored master: its number. */
static unsigned new_place(struct kit *k)
{
    assert_true(k->masters_count < KIT_MASTERS_MAX);
    unsigned i = k->masters_count++;
    struct kit_master *m = &k->masters[i];
    snprintf(m->dir, sizeof m->dir, "%.150s", in_dir(k, arena_printf(&k->arena, "r%u", i)));
    snprintf(m->log, sizeof m->log, "%.150s", in_dir(k, arena_printf(&k->arena, "r%u.log", i)));
    snprintf(m->addr, sizeof m->addr, "127.0.0.1:%u", kit_free_port());
    return i;
}

static int restore(struct kit *k, unsigned i, const char *file, const char *failpoints, const char **said)
{
    const char *args[] = {"restore",
                          "--dir",
                          k->masters[i].dir,
                          "--listen",
                          k->masters[i].addr,
                          "--election-timeout",
                          "500",
                          "--raft-heartbeat",
                          "50",
                          "--passphrase-file",
                          passphrase_file(k),
                          file,
                          NULL};
    return run(k, "tests/reeve-master", failpoints, said, args);
}

static unsigned restored(struct kit *k, const char *file)
{
    const char *said;
    unsigned i = new_place(k);
    if (restore(k, i, file, NULL, &said) != 0) {
        fail_msg("restore: %s", said);
    }
    assert_non_null(strstr(said, "reeve-master run --dir"));
    assert_non_null(strstr(said, "reeve-master join"));
    return i;
}

static void kill_all(struct kit *k)
{
    for (unsigned i = 0; i < k->masters_count; i++) {
        kit_stop(k, i, SIGKILL);
    }
}

static void wait_voters(struct kit *k, unsigned by, unsigned wanted)
{
    struct client *c = client_admin(k, by);
    unsigned voters = 0;
    for (int64_t until = kit_now() + KIT_WAIT_MS; voters < wanted;) {
        assert_true(kit_now() < until);
        voters = 0;
        must(c, "cluster", "{}");
        const struct value *members = value_get(c->result, "members");
        VALUE_FOR(i, members)
        {
            voters += str_is(value_path_str(value_item(members, i), "role"), "voter");
        }
        kit_turn(k, 20);
    }
    client_close(c);
}

/* ---- Whole ---- */

static int set_up_one(void **state)
{
    *state = kit_one(NULL);
    return 0;
}

static int set_up_three(void **state)
{
    *state = kit_three(NULL);
    return 0;
}

static int tear_down(void **state)
{
    kit_free(*state);
    return 0;
}

static void a_lost_cluster_comes_back_from_its_backup(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, kit_leader(k));
    must(c, "create",
         "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: a, namespace: default}, data: {k: v}}}");
    const char *version = text_at(c, "object.metadata.resourceVersion"), *uid = text_at(c, "object.metadata.uid");
    must(c, "create",
         "{object: {apiVersion: v1, kind: Secret, metadata: {name: s, namespace: default}, stringData: {p: "
         "hidden-treasure}}}");
    unsigned follower = (kit_leader(k) + 1) % 3;
    const char *file = saved(k, follower); /* any master makes one */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: late, namespace: default}}}");
    uint64_t last = strtoull(text_at(c, "object.metadata.resourceVersion"), NULL, 10);
    struct value *told = show(k, file);
    assert_int_equal(value_path_int(told, "nextMasterId", 0), 4);
    assert_int_equal(value_path_int(told, "kinds.Secret", 0), 5); /* four of tokens */
    client_close(c);
    kill_all(k);

    int64_t start = kit_now();
    unsigned r = restored(k, file);
    kit_start(k, r);
    assert_int_equal(kit_leader(k), r);
    assert_true(kit_now() - start < 3 * KIT_WAIT_MS); /* the aim of 10 s is for a machine that does nothing else */
    c = client_admin(k, r);                           /* by the former CA */
    must(c, "get", "{kind: ConfigMap, namespace: default, name: a}");
    assert_string_equal(text_at(c, "object.metadata.resourceVersion"), version);
    assert_string_equal(text_at(c, "object.metadata.uid"), uid);
    assert_string_equal(text_at(c, "object.data.k"), "v");
    must(c, "get", "{kind: Secret, namespace: default, name: s}");
    refused(c, ERR_NOT_FOUND, NULL, "get", "{kind: ConfigMap, namespace: default, name: late}");

    /* Revisions go on above all that the former cluster gave out: who watched there is told to list anew. */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: fresh, namespace: default}}}");
    assert_true(strtoull(text_at(c, "object.metadata.resourceVersion"), NULL, 10) > last + 1000000);
    struct stream *w =
        stream_open(c, "watch", "{kind: ConfigMap, namespace: default, revision: %llu}", (unsigned long long)last);
    stream_wait_end(w);
    assert_int_equal(w->end.code, ERR_EXPIRED);
    stream_close(w);

    /* So do the ids, and the former masters count for nothing. */
    must(c, "cluster", "{}");
    assert_true(int_at(c, "id") >= 4 + 100);
    assert_int_equal(value_count(value_get(c->result, "members")), 1);
    must(c, "get", "{kind: ConfigMap, namespace: kube-system, name: reeve-cluster}");
    assert_int_equal(strncmp(text_at(c, "object.data.removedMasters"), "1-", 2), 0);
    struct client *former = client_as(k, r, PKI_ROLE_MASTER, "2");
    assert_int_not_equal(call(former, "get", "{kind: ConfigMap, namespace: default, name: a}"), 0);
    client_close(former);
    struct client *agent = client_as(k, r, PKI_ROLE_NODE, "n1"); /* agents' certificates go on */
    must(agent, "hello", "{}");
    client_close(agent);
    client_close(c);

    kit_start(k, kit_join(k, r)); /* and it grows again */
    wait_voters(k, r, 2);
    kit_stop(k, r, SIGTERM);
    kit_start(k, r);
    kit_leader(k);
    c = client_admin(k, r);
    must(c, "get", "{kind: ConfigMap, namespace: default, name: fresh}");
    client_close(c);
}

/* ---- Under load ---- */

#define ACCOUNTS 20

/* One transfer, as one transaction. Only this test writes, so it knows what is there. */
static void transfer(struct client *c, int64_t balance[ACCOUNTS], struct rng *rng)
{
    unsigned a = (unsigned)rng_below(rng, ACCOUNTS), b = (a + 1 + (unsigned)rng_below(rng, ACCOUNTS - 1)) % ACCOUNTS;
    int64_t sum = (int64_t)rng_below(rng, 100);
    balance[a] -= sum;
    balance[b] += sum;
    static const char op[] =
        "{op: update, object: {apiVersion: v1, kind: ConfigMap, metadata: {name: acct-%u, namespace: "
        "default}, data: {balance: '%lld', n: '%llu'}}}";
    char one[300], other[300];
    snprintf(one, sizeof one, op, a, (long long)balance[a], (unsigned long long)rng_next(rng));
    snprintf(other, sizeof other, op, b, (long long)balance[b], (unsigned long long)rng_next(rng));
    must(c, "txn", "{ops: [%s, %s]}", one, other);
}

/* The accounts as the watch told them up to a revision. */
static void replay(struct kit *k, struct stream *w, int64_t revision, int64_t balance[ACCOUNTS])
{
    for (unsigned i = 0; i < w->count; i++) {
        if (value_path_int(w->items[i], "revision", 0) > revision) {
            return;
        }
        const struct value *events = value_get(w->items[i], "events");
        VALUE_FOR(j, events)
        {
            unsigned n;
            const char *name = value_text(k, value_item(events, j), "object.metadata.name");
            if (sscanf(name, "acct-%u", &n) == 1) {
                balance[n] = strtoll(value_text(k, value_item(events, j), "object.data.balance"), NULL, 10);
            }
        }
    }
}

static void a_backup_under_load_is_the_state_at_exactly_its_revision(void **state)
{
    struct kit *k = *state;
    unsigned leader = kit_leader(k);
    struct client *c = client_admin(k, leader), *watcher = client_admin(k, leader);
    struct rng rng = {11};
    int64_t balance[ACCOUNTS] = {0}, at[ACCOUNTS] = {0};
    struct stream *w = stream_open(watcher, "watch", "{kind: ConfigMap, namespace: default}");
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        must(c, "create",
             "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: acct-%u, namespace: default}, data: "
             "{balance: '0'}}}",
             i);
    }
    const char *args[] = {"backup",           "save",     in_dir(k, "load.rvb"),           "--passphrase-file",
                          passphrase_file(k), "--config", config_for(k, (leader + 1) % 3), NULL};
    pid_t pid = start_program("rctl", NULL, in_dir(k, "save.out"), args);
    int rc = -1;
    unsigned transfers = 0;
    for (int64_t until = kit_now() + 3 * KIT_WAIT_MS; !is_over(pid, &rc); transfers++) {
        assert_true(kit_now() < until);
        transfer(c, balance, &rng);
    }
    assert_int_equal(rc, 0);
    for (unsigned i = 0; i < 20; i++) {
        transfer(c, balance, &rng);
    }
    int64_t last = int_at(c, "revision"), revision = value_path_int(show(k, in_dir(k, "load.rvb")), "revision", 0);
    assert_true(revision < last && transfers > 0);
    while (w->count == 0 || value_path_int(w->items[w->count - 1], "revision", 0) < last) {
        kit_turn(k, 100);
    }
    replay(k, w, revision, at);
    stream_close(w);
    client_close(c);
    client_close(watcher);
    kill_all(k);

    unsigned r = restored(k, in_dir(k, "load.rvb"));
    kit_start(k, r);
    kit_leader(k);
    c = client_admin(k, r);
    int64_t sum = 0;
    for (unsigned i = 0; i < ACCOUNTS; i++) {
        must(c, "get", "{kind: ConfigMap, namespace: default, name: acct-%u}", i);
        int64_t is = strtoll(text_at(c, "object.data.balance"), NULL, 10);
        assert_int_equal(is, at[i]);
        sum += is;
    }
    assert_int_equal(sum, 0);
    client_close(c);
}

/* ---- Readers that are slow, gone, too many ---- */

/* More state than fits between a master and a reader that stands still. */
static void fill(struct kit *k, struct client *c, unsigned megabytes)
{
    struct rng rng = {3};
    for (unsigned i = 0; i < megabytes; i++) {
        struct buf text = BUF_INIT;
        while (text.size < 900000) {
            buf_printf(&text, "%016llx", (unsigned long long)rng_next(&rng));
        }
        struct value *params = kit_doc(
            k, "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: big-%u, namespace: default}, data: {}}}",
            i);
        value_set(&k->arena, value_get(value_get(params, "object"), "data"), "k", value_str(&k->arena, buf_str(&text)));
        must_value(c, "create", params);
        buf_close(&text);
    }
}

static struct stream *held(struct client *c)
{
    struct stream *s = stream_open(c, "backup", "{}");
    s->hold = s->count_only = true;
    kit_until(c->kit, &s->open, "a backup to begin");
    return s;
}

static void two_at_a_time_and_a_reader_that_goes_frees_its_place(void **state)
{
    struct kit *k = *state;
    struct client *c = client_admin(k, 0), *going = client_admin(k, 0);
    fill(k, c, 12);
    struct stream *one = held(c), *two = held(going);
    refused(c, ERR_BUSY, "2 backups are being made", "backup", "{}");
    /* Both stand still; writes go on all the same. */
    must(c, "create", "{object: {apiVersion: v1, kind: ConfigMap, metadata: {name: meanwhile, namespace: default}}}");
    assert_false(one->ended || two->ended);
    client_close(going);
    stream_wait_end(two);
    stream_close(two);
    struct stream *three = NULL;
    for (int64_t until = kit_now() + KIT_WAIT_MS; three == NULL || three->ended;) {
        assert_true(kit_now() < until);
        if (three != NULL) {
            stream_close(three);
        }
        three = stream_open(c, "backup", "{}");
        three->count_only = true;
        while (!three->open && !three->ended) {
            kit_turn(k, 50);
        }
    }
    stream_release(one);
    stream_wait_end(one);
    assert_int_equal(one->end.code, 0);
    assert_true(one->bytes > 3u << 20);
    stream_close(one);
    stream_wait_end(three);
    assert_int_equal(three->end.code, 0);
    stream_close(three);
    client_close(c);
}

static void only_administrators_may_have_one(void **state)
{
    struct kit *k = *state;
    struct client *node = client_as(k, 0, PKI_ROLE_NODE, "n1"), *nobody = client_as(k, 0, PKI_ROLE_NONE, "");
    refused(node, ERR_FORBIDDEN, NULL, "backup", "{}");
    refused(nobody, ERR_UNAUTHORIZED, NULL, "backup", "{}");
    client_close(node);
    client_close(nobody);
    struct client *c = client_admin(k, 0);
    refused(c, ERR_USAGE, "unknown parameter", "backup", "{passphrase: x}");
    client_close(c);
}

static void without_a_quorum_a_stale_backup_can_be_had(void **state)
{
    struct kit *k = *state;
    const char *said, *file = in_dir(k, "stale.rvb");
    kit_stop(k, 0, SIGKILL);
    kit_stop(k, 1, SIGKILL);
    int rc = save(k, 2, file, NULL, &said);
    assert_int_not_equal(rc, 0);
    assert_int_equal(access(file, F_OK), -1);
    if (save(k, 2, file, "--stale", &said) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "stale"));
    assert_true(value_path_bool(show(k, file), "stale", false));
}

/* ---- Broken off ---- */

static void restart_with(struct kit *k, unsigned i, const char *failpoints)
{
    kit_stop(k, i, SIGTERM);
    const char *args[] = {"run", "--dir", k->masters[i].dir, NULL};
    k->masters[i].pid = start_program("tests/reeve-master", failpoints, k->masters[i].log, args);
    kit_leader(k);
}

static void a_backup_that_breaks_off_says_so_and_leaves_only_a_beginning(void **state)
{
    struct kit *k = *state;
    const char *said, *file = in_dir(k, "cut.rvb");
    struct client *c = client_admin(k, 0);
    fill(k, c, 6);
    client_close(c);
    restart_with(k, 0, "backup_piece=error@5");
    assert_int_equal(save(k, 0, file, NULL, &said), 1);
    if (strstr(said, "the backup broke off after") == NULL || strstr(said, "cut.rvb.partial is no backup") == NULL) {
        fail_msg("%s", said);
    }
    assert_int_equal(access(file, F_OK), -1);
    assert_int_equal(access(in_dir(k, "cut.rvb.partial"), F_OK), 0);
    if (save(k, 0, file, NULL, &said) !=
        0) { /* the same command again, and the same master: it has let go of the first */
        fail_msg("%s", said);
    }
    assert_int_equal(save(k, 0, file, NULL, &said), 3);
    assert_non_null(strstr(said, "exists; give another name, or --force"));
    restart_with(k, 0, "backup_piece=crash@5");
    assert_int_not_equal(save(k, 0, in_dir(k, "crash.rvb"), NULL, &said), 0);
    assert_int_equal(access(in_dir(k, "crash.rvb"), F_OK), -1);
    int rc = -1;
    for (int64_t until = kit_now() + KIT_WAIT_MS; !is_over(k->masters[0].pid, &rc);) {
        assert_true(kit_now() < until);
        kit_turn(k, 20);
    }
    assert_int_equal(rc, 128 + SIGKILL);
    k->masters[0].pid = 0;
}

static void a_passphrase_must_come_from_a_file_or_a_terminal_and_be_long_enough(void **state)
{
    struct kit *k = *state;
    const char *said, *args[] = {"backup", "save", in_dir(k, "x.rvb"), "--config", config_for(k, 0), NULL, NULL, NULL};
    assert_int_equal(run(k, "rctl", NULL, &said, args), 2);
    assert_non_null(strstr(said, "--passphrase-file FILE"));
    args[5] = "--passphrase-file";
    args[6] = in_dir(k, "short");
    put_file(args[6], "1234567\n", 8);
    assert_int_equal(run(k, "rctl", NULL, &said, args), 1);
    assert_non_null(strstr(said, "too short"));
    put_file(args[6], "\n", 1);
    assert_int_equal(run(k, "rctl", NULL, &said, args), 1);
    assert_non_null(strstr(said, "is empty"));
    assert_int_equal(access(in_dir(k, "x.rvb.partial"), F_OK), -1);
}

/* ---- Restoring ---- */

static void expect_refusal(struct kit *k, unsigned place, const char *file, const char *text)
{
    const char *said;
    assert_int_equal(restore(k, place, file, NULL, &said), 1);
    if (strstr(said, text) == NULL) {
        fail_msg("expected \"%s\" in: %s", text, said);
    }
}

static void what_cannot_be_restored_is_refused_and_nothing_is_touched(void **state)
{
    struct kit *k = *state;
    const char *file = saved(k, 0), *bad = in_dir(k, "bad.rvb");
    unsigned place = new_place(k);
    char *bytes;
    size_t size;
    struct error err = {0};
    assert_int_equal(pki_read_file(file, 1 << 20, &bytes, &size, &err), 0);
    put_file(bad, bytes, size - 10);
    expect_refusal(k, place, bad, "it ends before its last chunk");
    bytes[size - 100] ^= 1;
    put_file(bad, bytes, size);
    expect_refusal(k, place, bad, "wrong passphrase or damaged file");
    bytes[size - 100] ^= 1;
    bytes[4] = 2;
    put_file(bad, bytes, size);
    expect_refusal(k, place, bad, "format 2; this program (");
    put_file(bad, "nothing of the kind, but long enough to be a header of one", 58);
    expect_refusal(k, place, bad, "no backup of Reeve's");
    expect_refusal(k, place, in_dir(k, "absent.rvb"), "absent.rvb");
    assert_int_equal(access(k->masters[place].dir, F_OK), -1);
    free(bytes);

    assert_int_equal(mkdir(k->masters[place].dir, 0700), 0);
    char other[300];
    snprintf(other, sizeof other, "%s/notes.txt", k->masters[place].dir);
    put_file(other, "mine", 4);
    expect_refusal(k, place, file, "is not empty (it holds notes.txt)");
    unlink(other);
    const char *said;
    assert_int_equal(restore(k, place, file, NULL, &said), 0); /* an empty one is fine */
    expect_refusal(k, place, file, "holds a master already");
    expect_refusal(k, 0, file, "holds a master already");
}

static void a_restore_that_was_cut_anywhere_is_completed_by_running_it_again(void **state)
{
    struct kit *k = *state;
    static const char *const cuts[] = {"setup_before_state=crash", "setup_before_config=crash",
                                       "setup_before_config=error"};
    const char *said, *file = saved(k, 0);
    kit_stop(k, 0, SIGTERM);
    unsigned place = new_place(k);
    const char *run_args[] = {"run", "--dir", k->masters[place].dir, NULL};
    const char *init_args[] = {"init", "--dir", k->masters[place].dir, NULL};
    for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
        assert_int_equal(restore(k, place, file, cuts[i], &said), strstr(cuts[i], "crash") ? 128 + SIGKILL : 1);
        assert_int_equal(run(k, "reeve-master", NULL, &said, run_args), 1);
        assert_non_null(strstr(said, "was left unfinished by a restore; run `reeve-master restore` again"));
        assert_int_equal(run(k, "reeve-master", NULL, &said, init_args), 1);
        assert_non_null(strstr(said, "was left unfinished by a restore"));
    }
    assert_int_equal(restore(k, place, file, NULL, &said), 0);
    kit_start(k, place);
    assert_int_equal(kit_leader(k), place);
}

/* Made by Reeve 0.1.0, format 1, from a cluster "golden" of three masters: every later version must read it. */
static void a_backup_of_the_first_format_is_read(void **state)
{
    struct kit *k = kit_new();
    const char *said, *args[] = {"restore", "--check", "--passphrase-file", passphrase_file(k), GOLDEN, NULL};
    if (run(k, "reeve-master", NULL, &said, args) != 0) {
        fail_msg("%s", said);
    }
    assert_non_null(strstr(said, "can be restored: cluster golden at revision"));
    struct value *told = show(k, GOLDEN);
    assert_int_equal(value_path_int(told, "format", 0), 1);
    assert_string_equal(value_text(k, told, "version"), "0.1.0");
    unsigned r = restored(k, GOLDEN);
    char path[300];
    struct error err = {0};
    snprintf(path, sizeof path, "%s/ca.crt", k->masters[r].dir);
    assert_int_equal(pki_read_file(path, 1 << 16, &k->ca, NULL, &err), 0);
    snprintf(path, sizeof path, "%s/ca.key", k->masters[r].dir);
    assert_int_equal(pki_read_file(path, 1 << 16, &k->ca_key, NULL, &err), 0);
    kit_start(k, r);
    kit_leader(k);
    struct client *c = client_admin(k, r);
    must(c, "get", "{kind: ConfigMap, namespace: default, name: greeting}");
    assert_string_equal(text_at(c, "object.data.text"), "hello from format 1");
    must(c, "get", "{kind: Secret, namespace: default, name: password}");
    const struct value *bytes = value_path(c->result, "object.data.p");
    assert_non_null(bytes);
    struct str secret = bytes->str;
    assert_int_equal(secret.n, strlen("of-no-use"));
    assert_memory_equal(secret.p, "of-no-use", secret.n);
    must(c, "get", "{kind: Deployment, namespace: default, name: web}");
    assert_int_equal(int_at(c, "object.spec.replicas"), 3);
    client_close(c);
    kit_free(k);
    (void)state;
}

int main(void)
{
#define ONE(f)   cmocka_unit_test_setup_teardown(f, set_up_one, tear_down)
#define THREE(f) cmocka_unit_test_setup_teardown(f, set_up_three, tear_down)
    const struct CMUnitTest tests[] = {
        THREE(a_lost_cluster_comes_back_from_its_backup),
        THREE(a_backup_under_load_is_the_state_at_exactly_its_revision),
        ONE(two_at_a_time_and_a_reader_that_goes_frees_its_place),
        ONE(only_administrators_may_have_one),
        THREE(without_a_quorum_a_stale_backup_can_be_had),
        ONE(a_backup_that_breaks_off_says_so_and_leaves_only_a_beginning),
        ONE(a_passphrase_must_come_from_a_file_or_a_terminal_and_be_long_enough),
        ONE(what_cannot_be_restored_is_refused_and_nothing_is_touched),
        ONE(a_restore_that_was_cut_anywhere_is_completed_by_running_it_again),
        cmocka_unit_test(a_backup_of_the_first_format_is_read),
    };
    return KIT_RUN(tests, NULL, NULL);
}
