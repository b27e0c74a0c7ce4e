/* Faults of disks: full, slow, cut off by a loss of power, syncs and writes that fail. Of a minority, or (power, little
 * room) of all.
 *
 * A master whose disk fails may end its process, in order and saying why; it is started again when the disk is well. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/fault/kit.h"
#include "tests/fault/nemeses.h"
#include "tests/fault/shim.h"

#define FOR_VICTIMS(t, i)                                                                                              \
    for (unsigned i = 0; i < (t)->cluster.count; i++)                                                                  \
        if ((t)->victims & 1u << i)

static void choose(struct trial *t, const char *what, unsigned members)
{
    char names[60];
    t->victims = members;
    trial_say(t, "%s: %s", what, nemesis_names(members, names, sizeof names));
}

/* Half of the time the leader is among them. */
static unsigned some_minority(struct trial *t)
{
    return rng_below(&t->rng, 2) == 0 ? 1u << nemesis_pick_leader(t) : nemesis_pick_some(t, nemesis_minority(t));
}

static unsigned everybody(struct trial *t)
{
    return nemesis_pick_some(t, cluster_size(&t->cluster));
}

/* Their disks are well again: whoever has ended comes back. */
static void come_back(struct trial *t, const char *what)
{
    trial_wait(t, 0); /* who has ended meanwhile, may have */
    if (t->victims != 0) {
        trial_say(t, "%s", what);
    }
    FOR_VICTIMS(t, i)
    {
        t->cluster.members[i].may_end = false;
        cluster_start(&t->cluster, i);
    }
    t->victims = 0;
}

/* ---- Power ---- */

/* First the disks stop, then the processes: nothing that was not synced gets through. */
static void power_off(struct trial *t, unsigned members)
{
    choose(t, "power off", members);
    FOR_VICTIMS(t, i)
    {
        t->cluster.members[i].may_end = true;
        disk_cut(&t->cluster.members[i].disk);
    }
    FOR_VICTIMS(t, i)
    {
        cluster_kill(&t->cluster, i);
    }
}

static void power_on(struct trial *t)
{
    FOR_VICTIMS(t, i)
    {
        cluster_kill(&t->cluster, i);
        disk_restore(&t->cluster.members[i].disk);
    }
    come_back(t, "power on");
}

static void start_power_one(struct trial *t)
{
    power_off(t, some_minority(t));
}

static void start_power_all(struct trial *t)
{
    power_off(t, everybody(t));
}

/* ---- Room ---- */

#define LITTLE_ROOM (40 << 20) /* below what a master calls low (64 MB), so it must degrade and not fail */

static void fill(struct trial *t, unsigned members, int64_t leave_bytes)
{
    choose(t, leave_bytes == 0 ? "disk full" : "little room on the disk", members);
    FOR_VICTIMS(t, i)
    {
        t->cluster.members[i].may_end = leave_bytes == 0;
        disk_fill(&t->cluster.members[i].disk, leave_bytes);
    }
}

static void start_full(struct trial *t)
{
    fill(t, some_minority(t), 0);
}

static void start_low(struct trial *t)
{
    fill(t, everybody(t), LITTLE_ROOM);
}

static void free_space(struct trial *t)
{
    FOR_VICTIMS(t, i)
    {
        disk_free_space(&t->cluster.members[i].disk);
    }
    come_back(t, "room again");
}

/* ---- Speed ---- */

static void start_slow(struct trial *t)
{
    choose(t, "slow disk", some_minority(t));
    FOR_VICTIMS(t, i)
    {
        if (!disk_throttle(&t->cluster.members[i].disk, 512 << 10, 30)) {
            trial_fail(t, "this machine cannot slow a device down (cgroup blkio)");
        }
    }
}

static void stop_slow(struct trial *t)
{
    FOR_VICTIMS(t, i)
    {
        disk_throttle(&t->cluster.members[i].disk, 0, 0);
    }
    come_back(t, "fast disk");
}

/* ---- By the shim ---- */

static void set_shim(struct trial *t, unsigned i, const struct shim_control *want)
{
    volatile struct shim_control *c = cluster_shim(&t->cluster, i);
    c->sync_errno = want->sync_errno;
    c->write_errno = want->write_errno;
    c->sync_delay_ms = want->sync_delay_ms;
    c->write_delay_ms = want->write_delay_ms;
    c->clock_offset_ms = want->clock_offset_ms;
}

static void shim_on(struct trial *t, const char *what, unsigned members, struct shim_control control)
{
    choose(t, what, members);
    FOR_VICTIMS(t, i)
    {
        t->cluster.members[i].may_end = control.sync_errno != 0 || control.write_errno != 0;
        set_shim(t, i, &control);
    }
}

static void shim_off(struct trial *t)
{
    uint64_t hits = 0;
    FOR_VICTIMS(t, i)
    {
        hits += cluster_shim(&t->cluster, i)->faults;
        set_shim(t, i, &(struct shim_control){0});
    }
    come_back(t, "disks and clocks are well");
    if (hits > 0) {
        trial_say(t, "the shim has made %llu calls fail or wait", (unsigned long long)hits);
    }
}

static void start_sync_fails(struct trial *t)
{
    bool sync = rng_below(&t->rng, 2) == 0;
    shim_on(t, sync ? "fsync fails (EIO)" : "writes of the log fail (EIO)", some_minority(t),
            (struct shim_control){.sync_errno = sync ? EIO : 0, .write_errno = sync ? 0 : EIO});
}

static void start_sync_slow(struct trial *t)
{
    shim_on(t, "every sync and write takes 0.4 s", some_minority(t),
            (struct shim_control){.sync_delay_ms = 400, .write_delay_ms = 400});
}

/* Certificates are dated five minutes back: clocks that are further behind than that are refused, as they must be. */
static void start_clock(struct trial *t)
{
    choose(t, "clocks jump", everybody(t));
    FOR_VICTIMS(t, i)
    {
        int64_t offset = (int64_t)rng_below(&t->rng, 3840) * 1000 - 240 * 1000;
        trial_say(t, "m%u: %lld s", i + 1, (long long)offset / 1000);
        set_shim(t, i, &(struct shim_control){.clock_offset_ms = offset});
    }
}

static const struct nemesis power_one = {
    .name = "power-one",
    .about = "power cut of a minority: what was not synced is lost",
    .needs = NEED_DISK | NEED_MAJORITY,
    .hold_min_ms = 200,
    .hold_max_ms = 2500,
    .start = start_power_one,
    .stop = power_on,
};
static const struct nemesis power_all = {
    .name = "power-all",
    .about = "power cut of all at once",
    .needs = NEED_DISK,
    .hold_min_ms = 200,
    .hold_max_ms = 1500,
    .start = start_power_all,
    .stop = power_on,
};
static const struct nemesis full = {
    .name = "disk-full",
    .about = "the disk of a minority is full to the last byte",
    .needs = NEED_DISK | NEED_MAJORITY,
    .hold_min_ms = 2000,
    .hold_max_ms = 6000,
    .start = start_full,
    .stop = free_space,
};
static const struct nemesis low = {
    .name = "disk-low",
    .about = "little room on all disks: writes are refused, nothing fails",
    .needs = NEED_DISK,
    .hold_min_ms = 4000,
    .hold_max_ms = 8000,
    .start = start_low,
    .stop = free_space,
};
static const struct nemesis slow = {
    .name = "disk-slow",
    .about = "the disk of a minority makes 30 writes a second",
    .needs = NEED_DISK | NEED_BLKIO | NEED_MAJORITY,
    .hold_min_ms = 2000,
    .hold_max_ms = 6000,
    .start = start_slow,
    .stop = stop_slow,
};
static const struct nemesis sync_fails = {
    .name = "disk-error",
    .about = "syncs or writes of a minority fail (EIO)",
    .needs = NEED_SHIM | NEED_MAJORITY,
    .hold_min_ms = 1000,
    .hold_max_ms = 3000,
    .start = start_sync_fails,
    .stop = shim_off,
};
static const struct nemesis sync_slow = {
    .name = "sync-slow",
    .about = "syncs and writes of a minority take 0.4 s",
    .needs = NEED_SHIM | NEED_MAJORITY,
    .hold_min_ms = 2000,
    .hold_max_ms = 6000,
    .start = start_sync_slow,
    .stop = shim_off,
};
static const struct nemesis clock_jump = {
    .name = "clock",
    .about = "calendars jump, each its own way, -4 min to +1 h",
    .needs = NEED_SHIM,
    .hold_min_ms = 1000,
    .hold_max_ms = 3000,
    .start = start_clock,
    .stop = shim_off,
};

const struct nemesis *const nemeses_disk[] = {&power_one,  &power_all, &full,       &low, &slow,
                                              &sync_fails, &sync_slow, &clock_jump, NULL};
