/* Cgroups of a local cluster: PREFIX/NAME in every hierarchy, of version 1 (one mount per controller) or 2 (one
 * tree). */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/buf.h"
#include "client/up/up.h"

#define CGROUP_ROOT     "/sys/fs/cgroup"
#define CGROUP2_MAGIC   0x63677270L
#define HIERARCHIES_MAX 32
#define REMOVE_TRIES    300 /* of 10 ms */

static bool is_unified(void)
{
    struct statfs fs;
    return statfs(CGROUP_ROOT, &fs) == 0 && fs.f_type == CGROUP2_MAGIC;
}

struct hierarchy {
    char root[256];
};

/* Roots of the hierarchies we take part in: on version 1 every mounted one but the unified of a hybrid machine. */
static unsigned hierarchies(struct hierarchy roots[HIERARCHIES_MAX])
{
    if (is_unified()) {
        snprintf(roots[0].root, sizeof(roots[0].root), "%s", CGROUP_ROOT);
        return 1;
    }
    FILE *f = fopen("/proc/self/mounts", "re");
    if (f == NULL) {
        return 0;
    }
    unsigned n = 0;
    char line[4096], dir[256], type[64];
    while (n < HIERARCHIES_MAX && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "%*s %255s %63s", dir, type) == 2 && strcmp(type, "cgroup") == 0 &&
            strncmp(dir, CGROUP_ROOT "/", strlen(CGROUP_ROOT) + 1) == 0) {
            memcpy(roots[n++].root, dir, sizeof(dir));
        }
    }
    fclose(f);
    return n;
}

static int write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    ssize_t n = write(fd, text, strlen(text));
    int saved = errno;
    close(fd);
    errno = saved;
    return n < 0 ? -1 : 0;
}

/* A cpuset without cpus takes no process: copy the parent's. */
static void fill_cpuset(const char *parent, const char *dir)
{
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (unsigned i = 0; i < 2; i++) {
        char path[1024], text[4096];
        snprintf(path, sizeof(path), "%s/%s", parent, files[i]);
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
        if (fd >= 0) {
            close(fd);
        }
        if (n > 0) {
            text[n] = '\0';
            snprintf(path, sizeof(path), "%s/%s", dir, files[i]);
            write_file(path, text);
        }
    }
}

/* Version 2: children get the controllers only if the parent hands them down. */
static void hand_down(const char *dir)
{
    static const char *const controllers[] = {"+cpu", "+cpuset", "+memory", "+pids", "+io"};
    char path[1024];
    snprintf(path, sizeof(path), "%.900s/cgroup.subtree_control", dir);
    for (unsigned i = 0; i < ARRAY_SIZE(controllers); i++) {
        write_file(path, controllers[i]);
    }
}

int up_cgroup_make(const struct up *u, const char *name, struct error *err)
{
    struct hierarchy roots[HIERARCHIES_MAX];
    unsigned n = hierarchies(roots);
    bool unified = is_unified();
    for (unsigned i = 0; i < n; i++) {
        char outer[512], inner[768];
        snprintf(outer, sizeof(outer), "%.255s/%s", roots[i].root, u->prefix);
        snprintf(inner, sizeof(inner), "%.300s/%.64s", outer, name);
        bool cpuset = strstr(roots[i].root, "cpuset") != NULL;
        if ((mkdir(outer, 0755) != 0 && errno != EEXIST) || (cpuset && (fill_cpuset(roots[i].root, outer), false))) {
            return error_set_errno(err, errno, "make cgroup %s", outer);
        }
        if (unified) {
            hand_down(roots[i].root);
            hand_down(outer);
        }
        if (mkdir(inner, 0755) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "make cgroup %s", inner);
        }
        if (cpuset) {
            fill_cpuset(outer, inner);
        }
    }
    return 0;
}

int up_cgroup_enter(const struct up *u, const char *name)
{
    struct hierarchy roots[HIERARCHIES_MAX];
    unsigned n = hierarchies(roots);
    for (unsigned i = 0; i < n; i++) {
        char path[1024];
        snprintf(path, sizeof(path), "%.255s/%s/%.64s/cgroup.procs", roots[i].root, u->prefix, name);
        if (write_file(path, "0") != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- Removal ---- */

static void kill_members(const char *dir)
{
    char path[UP_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/cgroup.procs", dir);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return;
    }
    int pid;
    while (fscanf(f, "%d", &pid) == 1) {
        if (pid > 1) {
            kill(pid, SIGKILL);
        }
    }
    fclose(f);
}

/* Depth first. True when the directory is gone. */
static bool remove_tree(const char *dir)
{
    DIR *d = opendir(dir);
    if (d == NULL) {
        return errno == ENOENT;
    }
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        if (e->d_type == DT_DIR && e->d_name[0] != '.') {
            char child[UP_PATH_MAX];
            if ((size_t)snprintf(child, sizeof(child), "%s/%s", dir, e->d_name) < sizeof(child)) {
                remove_tree(child);
            }
        }
    }
    closedir(d);
    kill_members(dir);
    return rmdir(dir) == 0 || errno == ENOENT;
}

/* A frozen group takes no signal. */
static void thaw(const char *dir)
{
    char path[UP_PATH_MAX + 32];
    snprintf(path, sizeof(path), "%s/freezer.state", dir);
    write_file(path, "THAWED");
    snprintf(path, sizeof(path), "%s/cgroup.freeze", dir);
    write_file(path, "0");
}

void up_cgroup_remove(const struct up *u, const char *name)
{
    struct hierarchy roots[HIERARCHIES_MAX];
    unsigned n = hierarchies(roots);
    for (unsigned i = 0; i < n; i++) {
        char dir[768];
        snprintf(dir, sizeof(dir), "%.255s/%s%s%.64s", roots[i].root, u->prefix, name == NULL ? "" : "/",
                 name == NULL ? "" : name);
        thaw(dir);
        for (unsigned tries = 0; !remove_tree(dir) && tries < REMOVE_TRIES; tries++) {
            usleep(10000);
        }
    }
}

/* ---- Inside a node ---- */

static int mount_v1(const char *controllers, struct error *err)
{
    char dir[512], data[256];
    bool named = strncmp(controllers, "name=", 5) == 0;
    snprintf(dir, sizeof(dir), "%s/%s", CGROUP_ROOT, named ? controllers + 5 : controllers);
    snprintf(data, sizeof(data), "%s%s", named ? "none," : "", controllers);
    if (mkdir(dir, 0755) != 0 && errno != EEXIST) {
        return error_set_errno(err, errno, "make %s", dir);
    }
    if (mount("cgroup", dir, "cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, data) != 0) {
        return error_set_errno(err, errno, "mount cgroup %s", controllers);
    }
    /* "cpu,cpuacct" is found under each of its names. */
    char parts[256], *save = NULL;
    snprintf(parts, sizeof(parts), "%s", controllers);
    for (char *p = strtok_r(parts, ",", &save); p != NULL && strchr(controllers, ',') != NULL;
         p = strtok_r(NULL, ",", &save)) {
        char link[512];
        snprintf(link, sizeof(link), "%s/%s", CGROUP_ROOT, p);
        if (symlink(controllers, link) != 0 && errno != EEXIST) {
            return error_set_errno(err, errno, "link %s", link);
        }
    }
    return 0;
}

/* Lines are "ID:CONTROLLERS:PATH"; version 2 is "0::PATH". With any version 1 controller the unified tree is left out:
 * runtimes refuse a mixture in which version 2 has controllers. */
int up_cgroup_mount(const char *list, struct error *err)
{
    bool any_v1 = false;
    char *copy = xstrdup(list), *save = NULL;
    int rc = mkdir(CGROUP_ROOT, 0755) != 0 && errno != EEXIST ? error_set_errno(err, errno, "make %s", CGROUP_ROOT) : 0;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL && rc == 0; line = strtok_r(NULL, "\n", &save)) {
        char *first = strchr(line, ':'), *second = first == NULL ? NULL : strchr(first + 1, ':');
        if (second == NULL || second == first + 1) {
            continue;
        }
        *second = '\0';
        if (!any_v1 && mount("tmpfs", CGROUP_ROOT, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=755") != 0) {
            rc = error_set_errno(err, errno, "mount tmpfs on %s", CGROUP_ROOT);
            break;
        }
        any_v1 = true;
        rc = mount_v1(first + 1, err);
    }
    free(copy);
    if (rc == 0 && !any_v1 && mount("cgroup2", CGROUP_ROOT, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0) {
        rc = error_set_errno(err, errno, "mount cgroup2");
    }
    return rc;
}
