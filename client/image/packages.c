/* Debian packages to a layer: mmdebstrap unpacks them and writes a tar to us; what no container needs is left out, what
 * maintainer scripts would have made is added. */
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/strmap.h"
#include "client/image/build.h"

#define SUITE_DEFAULT     "bookworm"
#define BUSYBOX_BYTES_MAX (16u << 20)
#define OUTPUT_BYTES_MAX  (1u << 20)

static const struct layer_owner root_owner = {0, 0};

/* ---- Programs ---- */

/* Started with its output in a pipe, its words in the file `log`. */
static int start(const char *const *argv, const char *log, pid_t *pid, int *out_fd, struct error *err)
{
    int pipe_fds[2];
    if (pipe2(pipe_fds, O_CLOEXEC) != 0) {
        return error_set_errno(err, errno, "pipe");
    }
    *pid = fork();
    if (*pid == 0) {
        int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
        int words = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        if (dup2(null, 0) < 0 || dup2(pipe_fds[1], 1) < 0 || dup2(words, 2) < 0) {
            _exit(126);
        }
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        dprintf(2, "%s: %s\n", argv[0], strerror(errno));
        _exit(127);
    }
    close(pipe_fds[1]);
    if (*pid < 0) {
        close(pipe_fds[0]);
        return error_set_errno(err, errno, "fork");
    }
    *out_fd = pipe_fds[0];
    return 0;
}

/* The last line that it said, for an error. */
static const char *last_words(const char *log, char *line, size_t size)
{
    FILE *f = fopen(log, "re");
    char next[512];
    snprintf(line, size, "no reason was given");
    while (f != NULL && fgets(next, sizeof(next), f) != NULL) {
        next[strcspn(next, "\n")] = '\0';
        if (next[0] != '\0' && strncmp(next, "I: ", 3) != 0) {
            snprintf(line, size, "%s", next);
        }
    }
    if (f != NULL) {
        fclose(f);
    }
    return line;
}

static int finish(pid_t pid, const char *name, const char *log, struct error *err)
{
    char line[512];
    int status = 0;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return 0;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) {
        return error_set(err, ERR_NOT_FOUND, "%s is not installed here: apt-get install %s", name,
                         strcmp(name, "apt-get") == 0 ? "apt" : name);
    }
    return error_set(err, ERR_SYSTEM, "%s failed: %s", name, last_words(log, line, sizeof(line)));
}

/* All that a program prints. */
static int capture(const char *const *argv, const char *log, struct buf *out, struct error *err)
{
    pid_t pid;
    int fd, rc = start(argv, log, &pid, &fd, err);
    if (rc != 0) {
        return rc;
    }
    for (ssize_t n = 1; n != 0 && out->size < OUTPUT_BYTES_MAX;) {
        n = read(fd, buf_reserve(out, 4096), 4096);
        if (n < 0 && errno != EINTR) {
            break;
        }
        out->size += n > 0 ? (size_t)n : 0;
    }
    close(fd);
    const char *slash = strrchr(argv[0], '/');
    return finish(pid, slash == NULL ? argv[0] : slash + 1, log, err);
}

/* ---- Where packages come from ---- */

/* The source that apt is configured with for the suite. */
static int find_mirror(const char *suite, const char *log, char *out, size_t size, struct error *err)
{
    static const char *const argv[] = {"apt-get",
                                       "indextargets",
                                       "--format",
                                       "$(REPO_URI) $(RELEASE) $(CODENAME) $(COMPONENT)",
                                       "Created-By: Packages",
                                       "Origin: Debian",
                                       NULL};
    CLEANUP_BUF struct buf text = BUF_INIT;
    int rc = capture(argv, log, &text, err);
    if (rc != 0) {
        return rc;
    }
    char *save = NULL, *copy = xstrdup(buf_cstr(&text));
    bool found = false;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL && !found; line = strtok_r(NULL, "\n", &save)) {
        char uri[400], release[64], codename[64], component[64];
        found = sscanf(line, "%399s %63s %63s %63s", uri, release, codename, component) == 4 &&
                (strcmp(release, suite) == 0 || strcmp(codename, suite) == 0) && strcmp(component, "main") == 0;
        if (found) {
            snprintf(out, size, "%s", uri);
        }
    }
    free(copy);
    return found
               ? 0
               : error_set(err, ERR_NOT_FOUND,
                           "apt has no source for Debian's %s here: name one with --mirror, or another --suite", suite);
}

/* ---- What packages bring ---- */

struct packages {
    const struct build_spec *spec;
    const char *work;
    struct layer *layer;
    struct strmap paths; /* what is in the layer */
    char busybox[32];    /* where it lies, "" = there is none */
};

static bool is_left_out(const struct build_spec *s, const char *path)
{
    static const char *const builtin[] = {"dev/*",
                                          "etc/apt/*",
                                          "etc/dpkg/*",
                                          "etc/fstab",
                                          "etc/hostname",
                                          "etc/resolv.conf",
                                          "etc/ld.so.cache",
                                          "var/cache/apt*",
                                          "var/lib/apt*",
                                          "var/lib/dpkg*",
                                          "var/cache/debconf*",
                                          "var/log/?*",
                                          "usr/share/doc/*",
                                          "usr/share/man/*",
                                          "usr/share/info/*",
                                          "usr/share/locale/*",
                                          "usr/share/lintian/*",
                                          "usr/share/bash-completion/*",
                                          "usr/lib/*/gconv/*",
                                          "usr/lib/python3*/test/*",
                                          "usr/lib/python3*/ensurepip/*",
                                          "usr/lib/python3*/idlelib/*",
                                          "usr/lib/python3*/pydoc_data/*",
                                          "lib/systemd/*",
                                          "usr/lib/systemd/*",
                                          "lib/udev/*"};
    for (size_t i = 0; i < ARRAY_SIZE(builtin); i++) {
        if (fnmatch(builtin[i], path, 0) == 0) {
            return true;
        }
    }
    for (const char *const *p = s->exclude; p != NULL && *p != NULL; p++) {
        if (fnmatch(**p == '/' ? *p + 1 : *p, path, 0) == 0) {
            return true;
        }
    }
    return false;
}

static bool has(const struct packages *p, const char *dir, const char *name)
{
    CLEANUP_FREE char *path = xasprintf("%s%s%s", dir, dir[0] == '\0' ? "" : "/", name);
    return strmap_get(&p->paths, str_of(path)) != NULL;
}

static void note(struct packages *p, const char *path)
{
    strmap_set(&p->paths, str_of(path), p);
}

static bool is_busybox(const char *path)
{
    return strcmp(path, "bin/busybox") == 0 || strcmp(path, "usr/bin/busybox") == 0;
}

/* It is asked for its commands later. */
static int keep_busybox(struct packages *p, struct archive *from, const char *path, size_t size, struct error *err)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    CLEANUP_FREE char *file = xasprintf("%s/busybox", p->work);
    la_ssize_t n = archive_read_data(from, buf_reserve(&b, size), size);
    if (n != (la_ssize_t)size) {
        return error_set(err, ERR_CORRUPT, "%s cannot be read", path);
    }
    CLEANUP_CLOSE int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700);
    if (fd < 0 || write(fd, b.data, size) != (ssize_t)size) {
        return error_set_errno(err, errno, "write %s", file);
    }
    snprintf(p->busybox, sizeof(p->busybox), "%s", path);
    return layer_data(p->layer, b.data, size, err);
}

static int take_entry(struct packages *p, struct archive *from, struct archive_entry *e, struct error *err)
{
    const char *name = archive_entry_pathname(e);
    name = name == NULL ? "" : name;
    name += strncmp(name, "./", 2) == 0 ? 2 : 0;
    CLEANUP_FREE char *path = xstrdup(name);
    for (size_t n = strlen(path); n > 0 && path[n - 1] == '/';) {
        path[--n] = '\0';
    }
    mode_t type = archive_entry_filetype(e);
    const char *hard = archive_entry_hardlink(e);
    if (path[0] == '\0' || is_left_out(p->spec, path) ||
        (hard == NULL && type != AE_IFREG && type != AE_IFDIR && type != AE_IFLNK)) {
        return 0;
    }
    archive_entry_set_pathname(e, path);
    if (hard != NULL) {
        CLEANUP_FREE char *target = xstrdup(strncmp(hard, "./", 2) == 0 ? hard + 2 : hard);
        archive_entry_set_hardlink(e, target);
    }
    note(p, path);
    int rc = layer_entry(p->layer, e, err);
    if (rc != 0 || hard != NULL || type != AE_IFREG) {
        return rc;
    }
    if (is_busybox(path) && archive_entry_size(e) <= BUSYBOX_BYTES_MAX) {
        return keep_busybox(p, from, path, (size_t)archive_entry_size(e), err);
    }
    return layer_copy_data(p->layer, from, err);
}

static int take_all(struct packages *p, int fd, struct error *err)
{
    struct archive *from = archive_read_new();
    struct archive_entry *e;
    archive_read_support_format_tar(from);
    archive_read_support_format_empty(from);
    int rc = 0, ar = archive_read_open_fd(from, fd, 64 << 10);
    while (rc == 0 && (ar == ARCHIVE_OK || ar == ARCHIVE_WARN)) {
        ar = archive_read_next_header(from, &e);
        if (ar == ARCHIVE_OK || ar == ARCHIVE_WARN) {
            rc = take_entry(p, from, e, err);
        }
    }
    if (rc == 0 && ar != ARCHIVE_EOF) {
        rc = error_set(err, ERR_CORRUPT, "what mmdebstrap writes cannot be read: %s", archive_error_string(from));
    }
    archive_read_free(from);
    return rc;
}

static int extract(struct packages *p, struct error *err)
{
    const struct build_spec *s = p->spec;
    const char *suite = s->suite == NULL ? SUITE_DEFAULT : s->suite;
    char mirror[400];
    CLEANUP_FREE char *log = xasprintf("%s/log", p->work);
    CLEANUP_BUF struct buf include = BUF_INIT, proxy = BUF_INIT;
    static const char *const ask_proxy[] = {"apt-config", "dump", "--format", "%v", "Acquire::http::Proxy", NULL};
    int rc = s->mirror == NULL ? find_mirror(suite, log, mirror, sizeof(mirror), err) : 0;
    if (rc != 0) {
        return rc;
    }
    for (const char *const *name = s->packages; *name != NULL; name++) {
        buf_printf(&include, "%s%s", include.size == 0 ? "--include=" : ",", *name);
    }
    if (capture(ask_proxy, log, &proxy, NULL) != 0) {
        buf_reset(&proxy);
    }
    CLEANUP_FREE char *source = xasprintf("deb %s %s main", s->mirror != NULL ? s->mirror : mirror, suite);
    CLEANUP_FREE char *proxy_option = xasprintf("--aptopt=Acquire::http::Proxy \"%s\"", buf_cstr(&proxy));
    const char *argv[] = {"mmdebstrap",
                          "--variant=extract",
                          "--format=tar",
                          "--aptopt=Acquire::Retries \"5\"",
                          buf_cstr(&include),
                          suite,
                          "-",
                          source,
                          NULL,
                          NULL};
    argv[8] = proxy.size > 0 ? proxy_option : NULL;
    pid_t pid;
    int fd;
    rc = start(argv, log, &pid, &fd, err);
    if (rc != 0) {
        return rc;
    }
    rc = take_all(p, fd, err);
    close(fd);
    struct error end = {0};
    int ended = finish(pid, "mmdebstrap", log, &end);
    if (ended != 0 && (rc == 0 || rc == ERR_CORRUPT)) { /* its own reason says more than that its tar ends early */
        *err = end;
        rc = ended;
    }
    return rc;
}

/* ---- What maintainer scripts would have made ---- */

int build_accounts(const struct build_spec *s, struct layer *l, struct error *err)
{
    CLEANUP_BUF struct buf passwd = BUF_INIT, group = BUF_INIT;
    buf_puts(&passwd, "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n");
    buf_puts(&group, "root:x:0:\ntty:x:5:\nwww-data:x:33:\n");
    for (unsigned i = 0; i < s->users_count; i++) {
        const struct build_user *u = &s->users[i];
        buf_printf(&passwd, "%s:x:%u:%u:%s:%s:/usr/sbin/nologin\n", u->name, u->id.uid, u->id.gid, u->name,
                   u->home == NULL ? "/nonexistent" : u->home);
        buf_printf(&group, "%s:x:%u:\n", u->name, u->id.gid);
    }
    buf_puts(&passwd, "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    buf_puts(&group, "nogroup:x:65534:\n");
    int rc = layer_text(l, "etc/passwd", 0644, root_owner, buf_str(&passwd), err);
    return rc != 0 ? rc : layer_text(l, "etc/group", 0644, root_owner, buf_str(&group), err);
}

static int add_directories(struct packages *p, struct error *err)
{
    static const char *const names[] = {"bin", "dev",     "etc",      "proc", "root",      "run",     "sbin",   "sys",
                                        "usr", "usr/bin", "usr/sbin", "var",  "var/cache", "var/lib", "var/log"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < ARRAY_SIZE(names); i++) {
        rc = has(p, "", names[i]) ? 0 : layer_directory(p->layer, names[i], 0755, root_owner, err);
    }
    rc = rc != 0 ? rc : layer_directory(p->layer, "tmp", 01777, root_owner, err);
    rc = rc != 0 ? rc : layer_directory(p->layer, "var/tmp", 01777, root_owner, err);
    return rc != 0 || has(p, "", "var/run") ? rc : layer_link(p->layer, "var/run", "/run", err);
}

/* A shell with the usual commands, for exec and probes, where no other package brings them. */
static int add_commands(struct packages *p, struct error *err)
{
    static const char *const dirs[] = {"bin", "usr/bin", "sbin", "usr/sbin"};
    CLEANUP_FREE char *program = xasprintf("%s/busybox", p->work);
    CLEANUP_FREE char *log = xasprintf("%s/log", p->work);
    CLEANUP_FREE char *target = xasprintf("/%s", p->busybox);
    CLEANUP_BUF struct buf list = BUF_INIT;
    const char *const argv[] = {program, "--list", NULL};
    if (p->busybox[0] == '\0' || capture(argv, log, &list, NULL) != 0) {
        return 0;
    }
    char *save = NULL, *text = xstrdup(buf_cstr(&list));
    int rc = 0;
    for (char *name = strtok_r(text, "\n", &save); rc == 0 && name != NULL; name = strtok_r(NULL, "\n", &save)) {
        bool there = strchr(name, '/') != NULL;
        for (size_t i = 0; i < ARRAY_SIZE(dirs); i++) {
            there = there || has(p, dirs[i], name);
        }
        CLEANUP_FREE char *path = xasprintf("bin/%s", name);
        rc = there ? 0 : layer_link(p->layer, path, target, err);
    }
    free(text);
    return rc;
}

int build_packages(const struct build_spec *s, const char *work, struct layer *l, struct error *err)
{
    struct packages p = {.spec = s, .work = work, .layer = l};
    strmap_init(&p.paths);
    int rc = extract(&p, err);
    rc = rc != 0 ? rc : add_directories(&p, err);
    rc = rc != 0 ? rc : build_accounts(s, l, err);
    rc = rc != 0 ? rc : add_commands(&p, err);
    strmap_close(&p.paths);
    return rc;
}
