/* rctl down: no trace of a local cluster, also after a crash. */
#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/cmd/rctl.h"
#include "client/up/up.h"

static const struct option_row down_options[] = {
    {"dir", 0, OPTION_VALUE, "./.reeve", NULL, "DIR", "where everything is kept"},
    {"keep-data", 0, OPTION_FLAG, NULL, NULL, NULL, "stop, but keep the cluster's data; \"rctl up\" starts it again"},
};

/* All names with a pid record that begin with `letter`: signal all at once, then wait for each. */
static unsigned stop_all(const struct up *u, struct arena *a, char letter)
{
    struct dirent **found;
    unsigned stopped = 0;
    int n = scandir(up_path(a, u, "run"), &found, NULL, versionsort);
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < n; i++) {
            const char *dot = strrchr(found[i]->d_name, '.');
            if (found[i]->d_name[0] != letter || dot == NULL || strcmp(dot, ".pid") != 0) {
                continue;
            }
            const char *name = arena_strndup(a, found[i]->d_name, (size_t)(dot - found[i]->d_name));
            pid_t pid = up_alive(u, name);
            if (pass == 1) {
                up_stop(u, name, UP_STOP_MS);
            } else if (pid != 0) {
                stopped++;
                kill(pid, SIGTERM);
            }
        }
    }
    for (int i = 0; i < n; i++) {
        free(found[i]);
    }
    if (n >= 0) {
        free(found);
    }
    return stopped;
}

static int remove_data(const struct up *u, struct arena *a, struct error *err)
{
    static const char *const parts[] = {"masters", "nodes", "logs", "run", "config", "cluster.yaml"};
    int rc = 0;
    for (unsigned i = 0; i < ARRAY_SIZE(parts) && rc == 0; i++) {
        rc = up_remove_tree(up_path(a, u, "%s", parts[i]), err);
    }
    rmdir(u->dir); /* only if nothing of others is in it */
    return rc;
}

static int run_down(struct rctl *r)
{
    struct up u;
    struct error err = {0};
    if (up_init(&u, opt(r, "dir"), &err) != 0) {
        return rctl_fail(r, &err);
    }
    if (up_check_kind(&u, &err) != 0) {
        return rctl_fail(r, &err);
    }
    int known = up_load(&u, &err);
    if (known == 0 && up_check_strangers(&u, NULL, &err) != 0) {
        return rctl_fail(r, &err);
    }
    struct stat st;
    bool any = known == 0 || stat(up_path(&r->arena, &u, "run"), &st) == 0;
    unsigned nodes = stop_all(&u, &r->arena, 'n'), masters = stop_all(&u, &r->arena, 'm');
    if (geteuid() == 0) {
        up_cgroup_remove(&u, NULL);
        up_fabric_remove(&u);
    }
    int rc = any && !opt_flag(r, "keep-data") ? remove_data(&u, &r->arena, &err) : 0;
    if (!any) {
        fprintf(r->out, "No cluster in %s.\n", u.dir);
    } else if (opt_flag(r, "keep-data")) {
        fprintf(r->out, "Stopped %u masters and %u nodes; the data stays in %s.\n", masters, nodes, u.dir);
    } else {
        fprintf(r->out, "Stopped %u masters and %u nodes and removed %s.\n", masters, nodes, u.dir);
    }
    up_close(&u);
    return rc != 0 ? rctl_fail(r, &err) : EXIT_DONE;
}

const struct command command_down = {
    .name = "down",
    .usage = "[--dir DIR] [--keep-data]",
    .summary = "Stop the cluster of \"rctl up\" and remove it",
    .examples = "  # everything, also what a crash has left over\n"
                "  rctl down\n"
                "  # for the night\n"
                "  rctl down --keep-data; rctl up\n"
                "  rctl down --dir /var/tmp/other\n",
    .options = down_options,
    .options_count = ARRAY_SIZE(down_options),
    .run = run_down,
    .wordless = true,
};
