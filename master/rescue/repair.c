#include "master/rescue/repair.h"
#include "master/quarantine.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/failpoint.h"
#include "base/mem.h"
#include "base/timefmt.h"
#include "master/auth/setup.h"
#include "master/rescue/candidate.h"
#include "master/rescue/recover.h"

/* ---- Alone? ---- */

/* Voters beside this master, as far as anything tells: what it last knew, else what its log says, else whom it
 * joined. */
static unsigned other_voters(const struct master_config *c, const struct disk_report *r)
{
    struct known_master known[64];
    unsigned n = known_read(c, known, ARRAY_SIZE(known)), others = 0;
    for (unsigned i = 0; i < n; i++) {
        others += known[i].id != c->id && strcmp(known[i].role, "voter") == 0;
    }
    if (n > 0) {
        return others;
    }
    for (unsigned i = 0; i < r->configuration.n; i++) {
        others += r->configuration.servers[i].id != c->id && r->configuration.servers[i].role == RAFT_VOTER;
    }
    return r->configuration.n > 0 ? others : c->join_count;
}

static int refuse(const struct master_config *c, const char *reason, struct error *err)
{
    struct candidate candidate;
    struct error ignored = {0};
    char left[400] = "nothing of it can be read", when[TIMEFMT_SIZE] = "";
    if (candidate_read(c->dir, NULL, &candidate, &ignored) == 0) {
        const struct disk_report *r = &candidate.log.report;
        if (candidate.log.last_wall_ms != 0) {
            timefmt_rfc3339(candidate.log.last_wall_ms, when);
        }
        if (r->last_index > 0) {
            snprintf(left, sizeof left,
                     "what can be read goes up to revision %" PRIu64 " (log entry %" PRIu64 "%s%s), %" PRIu64
                     " objects; whatever came behind that is lost",
                     candidate.revision, r->last_index, when[0] == '\0' ? "" : ", ", when, candidate.objects);
        }
        candidate_close(&candidate);
    }
    return error_set(err, ERR_CORRUPT,
                     "%s: %s. This master is the only voter, so there is nobody to get the state from, and it does not "
                     "start. Put back the directory as it was, or restore a backup (`reeve-master restore`), or go on "
                     "with what is left: `reeve-master recover --dir %s`; %s",
                     c->dir, reason, c->dir, left);
}

/* ---- Repairing ---- */

/* From MARKED on. */
static int go_on(struct master_config *c, const struct log *log, const struct stop *stop, struct error *err)
{
    bool finished;
    int rv = rejoin_finish(c, log, &finished, err);
    if (rv == 0 && !finished) {
        rv = quarantine_move(c, log, NULL, 0, err);
        rv = rv == 0 ? rejoin(c, log, stop, err) : rv;
    }
    return rv;
}

static int repair(struct master_config *c, const struct log *log, const struct stop *stop, const struct disk_report *r,
                  const char *reason, struct error *err)
{
    log_error(log, "repair", "%s: %s", c->dir, reason);
    if (other_voters(c, r) == 0) {
        return refuse(c, reason, err);
    }
    snprintf(c->rejoin, sizeof c->rejoin, "%s", reason);
    if (failpoint(FAILPOINT_repair_before_marker)) {
        return error_set(err, ERR_IO, "write master.yaml: failed by a failpoint");
    }
    int rv = master_config_save(c, err);
    return rv == 0 ? go_on(c, log, stop, err) : rv;
}

int repair_before_start(struct master_config *c, const struct log *log, const struct stop *stop, struct error *err)
{
    char raft[600];
    struct disk_report r;
    if (c->recovered) {
        int rv = recover_finish(c, log, err);
        if (rv != 0) {
            return rv;
        }
    }
    if (c->rejoin[0] != '\0') {
        log_warn(log, "repair", "going on with a repair that was interrupted: %s", c->rejoin);
        int rv = go_on(c, log, stop, err);
        if (rv != 0) {
            return rv;
        }
    }
    if (c->bootstrap) { /* a first start that did not come to its end: nobody has been answered anything */
        return setup_remove_raft_dir(c, "raft", err);
    }
    master_config_path(c, "raft", raft, sizeof raft);
    int rv = disk_scan(raft, c->id, NULL, &r, err);
    if (rv != 0) {
        return error_wrap(err, "the data of this master cannot be read (nothing was changed)");
    }
    if (r.unfinished) {
        log_info(log, "repair", "%s: a last write was cut short; it was never acknowledged and is left out", raft);
    }
    if (r.state == DISK_DAMAGED) {
        rv = repair(c, log, stop, &r, r.damage, err);
    } else if (r.state == DISK_NEW && c->started) {
        rv = repair(c, log, stop, &r, "the data directory is empty, but this master has voted", err);
    }
    disk_report_close(&r);
    return rv;
}

int repair_after_damage(struct master_config *c, const struct log *log, const struct stop *stop,
                        enum master_damage damage, const char *what, struct error *err)
{
    char raft[600];
    struct disk_report r;
    int64_t last = quarantine_newest_ms(c), now = env_wall_ms(env_real());
    if (damage == MASTER_DAMAGE_APPLIED && last != 0 && now - last < REPAIR_AGAIN_MS) {
        return error_set(err, ERR_CORRUPT,
                         "%s. This master was rebuilt from the others less than %d minutes ago, so its disk is not the "
                         "reason: do all masters run the same version? It stops",
                         what, REPAIR_AGAIN_MS / 60000);
    }
    master_config_path(c, "raft", raft, sizeof raft);
    int rv = disk_scan(raft, c->id, NULL, &r, err);
    if (rv == 0) {
        rv = repair(c, log, stop, &r, what, err);
        disk_report_close(&r);
    }
    return rv;
}
