#include "master/rescue/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/fs.h"
#include "base/locked.h"
#include "base/mem.h"
#include "master/auth/reseal.h"
#include "master/auth/sealed.h"
#include "master/auth/setup.h"
#include "master/quarantine.h"
#include "master/record.h"
#include "master/rescue/anew.h"
#include "master/rescue/candidate.h"
#include "master/rescue/repair.h"
#include "proto/pki/pki.h"

#define NAMES_SHOWN 10u

/* ---- Looking ---- */

int recover_inspect(const char *dir, struct error *err)
{
    struct candidate c;
    int rv = candidate_read(dir, NULL, &c, err);
    if (rv == 0) {
        printf("%s\n", dir);
        candidate_print(&c, stdout);
        candidate_close(&c);
    }
    return rv;
}

/* As Raft compares logs: the term of the last entry, then its index. */
static int compare(const struct candidate *a, const struct candidate *b)
{
    const struct disk_report *x = &a->log.report, *y = &b->log.report;
    return x->last_term != y->last_term ? (x->last_term > y->last_term) - (x->last_term < y->last_term)
                                        : (x->last_index > y->last_index) - (x->last_index < y->last_index);
}

static const struct view *state_of(const struct candidate *c)
{
    return store_committed(c->log.store);
}

/* Objects of the other that ours has not, or in an older version. */
static void print_missing(const struct candidate *mine, const struct candidate *other)
{
    uint64_t absent = 0, older = 0, shown = 0;
    struct view_iter it;
    view_iter_all(&it, state_of(other));
    VIEW_FOR(o, &it)
    {
        const struct object *m = view_get(state_of(mine), o->kind, o->ns, o->name);
        if (m != NULL && m->revision >= o->revision) {
            continue;
        }
        absent += m == NULL;
        older += m != NULL;
        if (o->kind->id != KIND_EVENT && shown < NAMES_SHOWN) {
            printf("    %s %.*s%s%.*s%s\n", o->kind->name, STR_ARG(o->ns), o->ns.n == 0 ? "" : "/", STR_ARG(o->name),
                   m == NULL ? "" : " (a later version)");
            shown++;
        }
    }
    printf("  only there: %" PRIu64 " objects, and later versions of %" PRIu64 "%s\n", absent, older,
           absent + older > shown ? " (not all are named)" : "");
    if (other->revision > mine->revision) {
        printf("  only there: the transactions from revision %" PRIu64 " to %" PRIu64 "\n", mine->revision + 1,
               other->revision);
    }
}

/* ---- Deciding ---- */

static uint64_t next_id(const struct candidate *c)
{
    const struct raft_configuration *conf = &c->log.report.configuration;
    uint64_t id = MAX(record_next_id_in(state_of(c)), c->id + 1);
    for (unsigned i = 0; i < conf->n; i++) {
        id = MAX(id, conf->servers[i].id + 1);
    }
    return id;
}

static bool confirmed(void)
{
    char line[16] = "";
    if (!isatty(STDIN_FILENO)) {
        return false;
    }
    printf("\nType yes to go on: ");
    fflush(stdout);
    return fgets(line, sizeof line, stdin) != NULL && strcmp(line, "yes\n") == 0;
}

static int judge(const struct candidate *all, unsigned count, bool force, struct error *err)
{
    unsigned best = 0;
    if (all[0].log.report.last_index == 0) {
        return error_set(err, ERR_USAGE,
                         "%s: nothing can be read of its log, so there is nothing to go on from; take the directory of "
                         "another master, or a backup (`reeve-master restore`)",
                         all[0].dir);
    }
    for (unsigned i = 1; i < count; i++) {
        best = compare(&all[i], &all[best]) > 0 ? i : best;
    }
    printf("\nThe most advanced log is that of %s.\n", all[best].dir);
    for (unsigned i = 1; i < count; i++) {
        printf("\nIn %s, but not in %s:\n", all[i].dir, all[0].dir);
        print_missing(&all[0], &all[i]);
    }
    if (best != 0 && !force) {
        return error_set(err, ERR_USAGE,
                         "%s is not the most advanced: recover %s instead (`reeve-master recover --dir %s`), or give "
                         "--force to lose what is listed above",
                         all[0].dir, all[best].dir, all[best].dir);
    }
    return 0;
}

static void print_warning(const struct candidate *mine, unsigned count, uint64_t id)
{
    printf(
        "\nThis master goes on alone, as master %" PRIu64 ", from revision %" PRIu64 " with %" PRIu64 " objects.\n"
        "  - Writes that were acknowledged are lost if only masters that are %s had them.\n"
        "  - The former directory is kept as %s/quarantine-TIME.\n"
        "  - The other masters must never be started on their former data again; empty their directories and let them\n"
        "    join anew. Agents and clients go on with their certificates.\n",
        id, mine->revision, mine->objects, count == 1 ? "not this one" : "not listed here", mine->dir);
    if (mine->log.report.state == DISK_DAMAGED) {
        printf("  - The log is damaged, and is taken up to the damage only: %s.\n", mine->log.report.damage);
    }
}

/* ---- Doing ---- */

/* The CA's key, from what parts there are, into ca.key: the master that goes on splits it anew. Without it the cluster
 * goes on as well. */
static int join_key(const struct master_config *c, const struct candidate *all, unsigned count, struct error *err)
{
    struct sealed s;
    struct pki_share *shares = locked_new(SEALED_MEMBERS_MAX * sizeof *shares);
    struct parts *parts = parts_new();
    struct keyring *keys = locked_new(sizeof *keys);
    uint8_t *key = locked_new(PKI_SHARE_SIZE);
    char *ca = NULL, *clear = NULL;
    const char *own = NULL;
    unsigned n = 0, damaged;
    int rv = setup_read_ca(c, &ca, &clear, err);
    bool sealed = rv == 0 && clear == NULL && sealed_read(sealed_in(state_of(&all[0])), &s);
    for (unsigned i = 0; sealed && i < count && n < SEALED_MEMBERS_MAX; i++) {
        const struct part *p = parts_load(all[i].dir, parts, &damaged, NULL) == 0 ? parts_find(parts, s.deal) : NULL;
        if (p != NULL) {
            shares[n++] = p->share;
        }
    }
    if (sealed && sealed_join(&s, shares, n, key, NULL) && sealed_open(&s, key, keys) == 0) {
        own = keyring_find(keys, ca);
    }
    if (own != NULL) {
        rv = setup_write_file(c, "ca.key", own, 0600, err);
    } else if (rv == 0 && clear == NULL) {
        printf(
            "\nThe key of the cluster's CA is in parts, of which %u are needed and %u are in these directories: the "
            "cluster goes\non without it, and certifies nobody. Give more directories, or begin with another CA when "
            "it runs:\nrctl cert rotate-ca\n",
            sealed ? s.threshold : 1, n);
    }
    free(ca);
    pki_free_key(clear);
    locked_free(key, PKI_SHARE_SIZE);
    locked_free(keys, sizeof *keys);
    parts_free(parts);
    locked_free(shares, SEALED_MEMBERS_MAX * sizeof *shares);
    return rv;
}

static int write_state(struct master_config *c, struct candidate *mine, uint64_t term, struct pki_ring *keys,
                       struct error *err)
{
    struct store *s = mine->log.store;
    int rv = anew_begin(s, c->id, term, mine->revision + RECOVER_REVISIONS_SPARED, err);
    if (rv != 0) {
        return rv;
    }
    reseal_order(store_committed(s), keys);
    store_set_seal_keys(s, keys);
    struct store_fork *fork = store_fork_new(s);
    rv = setup_write_raft_dir(c, "recovered", &(struct setup_state){fork, term, mine->log.report.last_index + 1}, err);
    store_fork_free(fork);
    return rv;
}

static int take_place(const struct master_config *c, const struct log *log, struct error *err)
{
    char fresh[600], raft[600];
    struct stat st;
    master_config_path(c, "recovered", fresh, sizeof fresh);
    master_config_path(c, "raft", raft, sizeof raft);
    if (stat(fresh, &st) != 0) {
        return errno == ENOENT ? 0 : error_set_errno(err, errno, "look at %s", fresh); /* done before */
    }
    if (failpoint(FAILPOINT_recover_before_quarantine)) {
        return error_set(err, ERR_IO, "recover: failed by a failpoint");
    }
    int rv = quarantine_move(c, log, NULL, 0, err);
    if (rv != 0) {
        return rv;
    }
    if (failpoint(FAILPOINT_recover_before_rename)) {
        return error_set(err, ERR_IO, "recover: failed by a failpoint");
    }
    if (rename(fresh, raft) != 0 || (rv = fs_sync_dir(c->dir)) != 0) {
        return error_set_errno(err, rv != 0 ? rv : errno, "rename %s to %s", fresh, raft);
    }
    return 0;
}

static int make_identity(const struct master_config *c, struct error *err)
{
    char *ca, *ca_key;
    int rv = setup_read_ca(c, &ca, &ca_key, err);
    if (rv == 0 && failpoint(FAILPOINT_recover_before_identity)) {
        rv = error_set(err, ERR_IO, "recover: failed by a failpoint");
    }
    rv = rv == 0 && ca_key != NULL ? setup_write_identity(c, ca, ca_key, err) : rv; /* else the old one serves */
    free(ca);
    pki_free_key(ca_key);
    return rv;
}

int recover_finish(struct master_config *c, const struct log *log, struct error *err)
{
    char path[600];
    int rv = take_place(c, log, err);
    rv = rv == 0 ? make_identity(c, err) : rv;
    if (rv != 0) {
        return rv;
    }
    master_config_path(c, "masters", path, sizeof path);
    unlink(path); /* it is alone now, and must not believe that there are others to get its state from */
    master_config_path(c, "removed", path, sizeof path);
    unlink(path);
    if (failpoint(FAILPOINT_recover_before_end)) {
        return error_set(err, ERR_IO, "recover: failed by a failpoint");
    }
    c->recovered = false;
    return master_config_save(c, err);
}

static int commit(struct master_config *c, const struct log *log, struct error *err)
{
    if (failpoint(FAILPOINT_recover_before_config)) {
        return error_set(err, ERR_IO, "recover: failed by a failpoint");
    }
    c->recovered = c->started = true;
    c->bootstrap = false;
    c->rejoin[0] = '\0';
    c->join_count = 0;
    int rv = master_config_save(c, err);
    return rv == 0 ? recover_finish(c, log, err) : rv;
}

static int recover_with(struct master_config *c, const struct log *log, struct candidate *all, unsigned count,
                        struct pki_ring *keys, bool yes, bool force, struct error *err)
{
    uint64_t id = 0, term = 0;
    for (unsigned i = 0; i < count; i++) {
        printf("%s%s\n", i == 0 ? "" : "\n", all[i].dir);
        candidate_print(&all[i], stdout);
        id = MAX(id, next_id(&all[i]));
        term = MAX(term, MAX(all[i].log.report.term, all[i].log.report.last_term));
    }
    id += RECOVER_IDS_SPARED;
    term += RECOVER_TERMS_SPARED;
    int rv = judge(all, count, force, err);
    if (rv == 0) {
        print_warning(&all[0], count, id);
    }
    fflush(stdout);
    if (rv != 0) {
        return rv;
    }
    if (!yes && !confirmed()) {
        return error_set(err, ERR_USAGE, "not confirmed: nothing was changed (--yes confirms without a terminal)");
    }
    rv = join_key(c, all, count, err);
    if (rv != 0) {
        return rv;
    }
    c->id = id;
    rv = write_state(c, &all[0], term, keys, err);
    return rv == 0 ? commit(c, log, err) : rv;
}

int recover_run(const char *dir, const char *const *peer_dirs, unsigned peers, bool yes, bool force, struct error *err)
{
    struct master_config c;
    const struct log log = {.name = "recover"};
    struct candidate *all = xcalloc(1 + peers, sizeof *all);
    struct pki_ring keys = {0};
    unsigned count = 0;
    CLEANUP_CLOSE int lock = -1;
    int rv = master_config_load(dir, &c, err);
    rv = rv == 0 ? master_config_lock(dir, &lock, err) : rv;
    bool going_on = rv == 0 && c.recovered;
    if (going_on) {
        printf("%s: going on with a recovery that was interrupted\n", dir);
        rv = recover_finish(&c, &log, err);
    }
    rv = rv == 0 && !going_on ? master_config_seal_keys(&c, &keys, err) : rv;
    for (unsigned i = 0; rv == 0 && !going_on && i <= peers; i++) {
        rv = candidate_read(i == 0 ? dir : peer_dirs[i - 1], &keys, &all[i], err);
        count += rv == 0;
    }
    if (rv == 0 && !going_on) {
        rv = recover_with(&c, &log, all, count, &keys, yes, force, err);
    }
    if (rv == 0) {
        printf("\nRecovered. Start it, then let the others join with a token of `rctl token create --role master`:\n\n"
               "    reeve-master run --dir %s\n",
               dir);
    }
    for (unsigned i = 0; i < count; i++) {
        candidate_close(&all[i]);
    }
    pki_ring_wipe(&keys);
    free(all);
    return rv;
}
