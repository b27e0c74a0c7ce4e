/* The file that says what an image is made of. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "client/image/build.h"
#include "proto/text/text.h"

struct reading {
    struct arena *a;
    const char *path; /* of the file */
    const char *dir;  /* its directory, with "/" behind; "" = here */
    struct error *err;
};

static int bad(const struct reading *r, const struct value *at, const char *field, const char *why)
{
    return error_set_field(r->err, ERR_INVALID, field, "%s:%u: %s: %s", r->path, at == NULL ? 1 : at->line, field, why);
}

static const char *text_of(const struct reading *r, const struct value *v)
{
    struct str s = value_to_str(v);
    if (v != NULL && v->type == VALUE_INT) { /* user: 1000 */
        return arena_printf(r->a, "%lld", (long long)v->integer);
    }
    return s.p == NULL ? NULL : arena_strndup(r->a, s.p, s.n);
}

static const char *path_of(const struct reading *r, const char *path)
{
    return path == NULL || path[0] == '/' ? path : arena_printf(r->a, "%s%s", r->dir, path);
}

static int read_text(const struct reading *r, const struct value *map, const char *field, const char **out)
{
    const struct value *v = value_get(map, field);
    *out = text_of(r, v);
    return *out == NULL && !value_is_null(v) ? bad(r, v, field, "text is needed") : 0;
}

static int read_list(const struct reading *r, const struct value *map, const char *field, const char *const **out)
{
    const struct value *v = value_get(map, field);
    *out = NULL;
    if (value_is_null(v)) {
        return 0;
    }
    if (!value_is_list(v) || value_count(v) > BUILD_LIST_MAX) {
        return bad(r, v, field, "a list is needed, of at most 256");
    }
    const char **list = arena_alloc(r->a, (value_count(v) + 1) * sizeof(*list));
    VALUE_FOR(i, v)
    {
        list[i] = text_of(r, value_item(v, i));
        if (list[i] == NULL) {
            return bad(r, value_item(v, i), field, "text is needed");
        }
    }
    *out = list;
    return 0;
}

/* {A: b} or ["A=b"]: as images have it. */
static int read_pairs(const struct reading *r, const struct value *map, const char *field, const char *const **out)
{
    const struct value *v = value_get(map, field);
    if (!value_is_map(v)) {
        return read_list(r, map, field, out);
    }
    if (value_count(v) > BUILD_LIST_MAX) {
        return bad(r, v, field, "at most 256");
    }
    const char **list = arena_alloc(r->a, (value_count(v) + 1) * sizeof(*list));
    VALUE_FOR(i, v)
    {
        const char *text = text_of(r, v->map.members[i].value);
        if (text == NULL) {
            return bad(r, v, field, "text is needed; numbers like 1.0, and yes or no, go into quotes");
        }
        list[i] = arena_printf(r->a, "%.*s=%s", STR_ARG(v->map.members[i].key), text);
    }
    *out = list;
    return 0;
}

static int read_command(const struct reading *r, const struct value *map, const char *field, const char *const **out)
{
    const struct value *v = value_get(map, field);
    if (!value_is_str(v)) {
        return read_list(r, map, field, out);
    }
    *out = build_words(r->a, text_of(r, v));
    return 0;
}

static int read_number(const struct reading *r, const struct value *map, const char *field, int64_t max, int64_t *out)
{
    const struct value *v = value_get(map, field);
    *out = value_to_int(v, value_is_null(v) ? 0 : -1);
    return *out < 0 || *out > max ? bad(r, v, field, "a number is needed") : 0;
}

static int check_fields(const struct reading *r, const struct value *map, const char *const *known, const char *what)
{
    for (unsigned i = 0; i < value_count(map); i++) {
        bool found = false;
        for (const char *const *k = known; *k != NULL; k++) {
            found = found || str_is(map->map.members[i].key, *k);
        }
        if (!found) {
            const char *key = arena_strndup(r->a, map->map.members[i].key.p, map->map.members[i].key.n);
            return bad(r, map->map.members[i].value, key, what);
        }
    }
    return 0;
}

/* "0644" is read as octal by YAML, "0644" in quotes here. */
static int read_mode(const struct reading *r, const struct value *map, mode_t *out)
{
    const struct value *v = value_get(map, "mode");
    struct str s = value_to_str(v);
    int64_t mode = value_to_int(v, -1);
    if (s.n > 0 && s.n < 6) {
        char *end, text[8];
        snprintf(text, sizeof(text), "%.*s", STR_ARG(s));
        mode = strtol(text, &end, 8);
        mode = *end != '\0' ? -1 : mode;
    }
    if (value_is_null(v)) {
        mode = 0;
    }
    if (mode < 0 || mode > 07777) {
        return bad(r, v, "mode", "an octal number is needed, such as 0644");
    }
    *out = (mode_t)mode;
    return 0;
}

static int read_owner(const struct reading *r, const struct value *map, struct layer_owner *out)
{
    const struct value *v = value_get(map, "owner");
    const char *text = text_of(r, v);
    unsigned uid = 0, gid = 0;
    char rest = '\0';
    int n = text == NULL ? 0 : sscanf(text, "%u:%u%c", &uid, &gid, &rest);
    if (!value_is_null(v) && n != 1 && n != 2) {
        return bad(r, v, "owner", "numbers are needed: UID or \"UID:GID\"");
    }
    *out = (struct layer_owner){uid, n == 2 ? gid : uid};
    return 0;
}

static int read_file(const struct reading *r, const struct value *entry, struct build_file *f)
{
    static const char *const known[] = {"to", "from", "text", "link", "mode", "owner", NULL};
    int rc = !value_is_map(entry) ? bad(r, entry, "files", "{to: PATH, ...} is needed")
                                  : check_fields(r, entry, known, "unknown field (to, from, text, link, mode, owner)");
    rc = rc != 0 ? rc : read_text(r, entry, "to", &f->to);
    rc = rc != 0 ? rc : read_text(r, entry, "from", &f->from);
    rc = rc != 0 ? rc : read_text(r, entry, "text", &f->text);
    rc = rc != 0 ? rc : read_text(r, entry, "link", &f->link);
    rc = rc != 0 ? rc : read_mode(r, entry, &f->mode);
    rc = rc != 0 ? rc : read_owner(r, entry, &f->owner);
    if (rc != 0) {
        return rc;
    }
    if (f->to == NULL || f->to[0] != '/') {
        return bad(r, entry, "to", "a path of the image is needed, such as /app/server.py");
    }
    if ((f->from != NULL) + (f->text != NULL) + (f->link != NULL) > 1) {
        return bad(r, entry, "files", "one of from, text and link; none makes a directory");
    }
    f->to += strspn(f->to, "/");
    f->from = path_of(r, f->from);
    return 0;
}

static int read_files(const struct reading *r, const struct value *doc, struct build_spec *out)
{
    const struct value *list = value_get(doc, "files");
    if (!value_is_null(list) && (!value_is_list(list) || value_count(list) > BUILD_LIST_MAX)) {
        return bad(r, list, "files", "a list is needed, of at most 256");
    }
    struct build_file *files = arena_alloc(r->a, (value_count(list) + 1) * sizeof(*files));
    int rc = 0;
    VALUE_FOR(i, list)
    {
        rc = rc != 0 ? rc : read_file(r, value_item(list, i), &files[i]);
    }
    out->files = files;
    out->files_count = value_count(list);
    return rc;
}

static bool is_user_name(const char *s)
{
    return s != NULL && s[0] != '\0' && strlen(s) <= 32 &&
           strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == strlen(s);
}

static int read_users(const struct reading *r, const struct value *doc, struct build_spec *out)
{
    static const char *const known[] = {"name", "uid", "gid", "home", NULL};
    const struct value *list = value_get(doc, "users");
    if (!value_is_null(list) && (!value_is_list(list) || value_count(list) > BUILD_LIST_MAX)) {
        return bad(r, list, "users", "a list is needed, of at most 256");
    }
    struct build_user *users = arena_alloc(r->a, (value_count(list) + 1) * sizeof(*users));
    VALUE_FOR(i, list)
    {
        const struct value *entry = value_item(list, i);
        int64_t uid = 0, gid = 0;
        int rc = !value_is_map(entry) ? bad(r, entry, "users", "{name: NAME, uid: NUMBER} is needed")
                                      : check_fields(r, entry, known, "unknown field (name, uid, gid, home)");
        rc = rc != 0 ? rc : read_text(r, entry, "name", &users[i].name);
        rc = rc != 0 ? rc : read_text(r, entry, "home", &users[i].home);
        rc = rc != 0 ? rc : read_number(r, entry, "uid", UINT32_MAX - 1, &uid);
        rc = rc != 0 ? rc : read_number(r, entry, "gid", UINT32_MAX - 1, &gid);
        if (rc == 0 && (!is_user_name(users[i].name) || value_is_null(value_get(entry, "uid")) ||
                        (users[i].home != NULL && strpbrk(users[i].home, ":\n") != NULL))) {
            rc = bad(r, entry, "users", "a name of letters and digits, and a uid are needed");
        }
        if (rc != 0) {
            return rc;
        }
        users[i].id =
            (struct layer_owner){(uid_t)uid, value_is_null(value_get(entry, "gid")) ? (gid_t)uid : (gid_t)gid};
    }
    out->users = users;
    out->users_count = value_count(list);
    return 0;
}

static int read_ports(const struct reading *r, const struct value *doc, struct build_spec *out)
{
    int rc = read_list(r, doc, "expose", &out->ports);
    for (const char **p = (const char **)(uintptr_t)out->ports; rc == 0 && p != NULL && *p != NULL; p++) {
        *p = build_port(r->a, *p);
        rc = *p == NULL ? bad(r, value_get(doc, "expose"), "expose", "a port is needed: 80, 53/udp") : 0;
    }
    return rc;
}

static int read_spec(const struct reading *r, const struct value *doc, struct build_spec *out)
{
    static const char *const known[] = {"name",   "from",   "packages",   "suite",      "mirror", "exclude", "users",
                                        "dirs",   "files",  "entrypoint", "cmd",        "env",    "user",    "workdir",
                                        "expose", "labels", "stopSignal", "keepOwners", NULL};
    int rc = check_fields(r, doc, known,
                          "unknown field (name, from, packages, suite, mirror, exclude, users, dirs, files, "
                          "keepOwners, entrypoint, cmd, env, user, workdir, expose, labels, stopSignal)");
    rc = rc != 0 ? rc : read_text(r, doc, "name", &out->name);
    rc = rc != 0 ? rc : read_text(r, doc, "from", &out->from);
    rc = rc != 0 ? rc : read_list(r, doc, "packages", &out->packages);
    rc = rc != 0 ? rc : read_text(r, doc, "suite", &out->suite);
    rc = rc != 0 ? rc : read_text(r, doc, "mirror", &out->mirror);
    rc = rc != 0 ? rc : read_list(r, doc, "exclude", &out->exclude);
    rc = rc != 0 ? rc : read_users(r, doc, out);
    rc = rc != 0 ? rc : read_list(r, doc, "dirs", &out->dirs);
    rc = rc != 0 ? rc : read_files(r, doc, out);
    rc = rc != 0 ? rc : read_command(r, doc, "entrypoint", &out->entrypoint);
    rc = rc != 0 ? rc : read_command(r, doc, "cmd", &out->cmd);
    rc = rc != 0 ? rc : read_pairs(r, doc, "env", &out->env);
    rc = rc != 0 ? rc : read_text(r, doc, "user", &out->user);
    rc = rc != 0 ? rc : read_text(r, doc, "workdir", &out->workdir);
    rc = rc != 0 ? rc : read_ports(r, doc, out);
    rc = rc != 0 ? rc : read_pairs(r, doc, "labels", &out->labels);
    rc = rc != 0 ? rc : read_text(r, doc, "stopSignal", &out->stop_signal);
    out->keep_owners = value_to_bool(value_get(doc, "keepOwners"), false);
    out->from = path_of(r, out->from);
    for (const char **d = (const char **)(uintptr_t)out->dirs; rc == 0 && d != NULL && *d != NULL; d++) {
        *d = path_of(r, *d);
    }
    return rc;
}

static int read_whole(const char *path, struct buf *out, struct error *err)
{
    CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : 1;
    while (n > 0 && out->size <= TEXT_SIZE_MAX) {
        n = read(fd, buf_reserve(out, 64u << 10), 64u << 10);
        out->size += n > 0 ? (size_t)n : 0;
    }
    return n < 0 ? error_set_errno(err, errno, "read %s", path) : 0;
}

int build_spec_read(struct arena *a, const char *path, struct build_spec *out, struct error *err)
{
    CLEANUP_BUF struct buf text = BUF_INIT;
    const char *slash = strrchr(path, '/');
    struct reading r = {a, path, slash == NULL ? "" : arena_strndup(a, path, (size_t)(slash - path) + 1), err};
    struct value **docs;
    unsigned count = 0;
    *out = (struct build_spec){0};
    int rc = read_whole(path, &text, err);
    rc = rc != 0 ? rc : yaml_read(a, buf_str(&text), path, &docs, &count, err);
    if (rc == 0 && (count != 1 || !value_is_map(docs[0]))) {
        rc = error_set(err, ERR_INVALID, "%s: one document is needed: {name: NAME:TAG, ...}", path);
    }
    return rc != 0 ? rc : read_spec(&r, docs[0], out);
}

const char *build_port(struct arena *a, const char *text)
{
    char *end;
    long port = strtol(text, &end, 10);
    bool protocol = *end == '\0' || strcmp(end, "/tcp") == 0 || strcmp(end, "/udp") == 0 || strcmp(end, "/sctp") == 0;
    return end == text || port < 1 || port > 65535 || !protocol
               ? NULL
               : arena_printf(a, "%ld%s", port, *end == '\0' ? "/tcp" : end);
}

const char *const *build_words(struct arena *a, const char *text)
{
    struct value *list;
    unsigned n = 0;
    const char *at = text + strspn(text, " \t\n");
    if (*at == '[') {
        CLEANUP_FREE char *doc = xasprintf("{\"l\":%s}", at);
        if (json_read(a, str_of(doc), &list, NULL) != 0 || !value_is_list(list = value_get(list, "l"))) {
            return NULL;
        }
        const char **words = arena_alloc(a, (value_count(list) + 1) * sizeof(*words));
        VALUE_FOR(i, list)
        {
            struct str s = value_to_str(value_item(list, i));
            if (s.p == NULL) {
                return NULL;
            }
            words[i] = arena_strndup(a, s.p, s.n);
        }
        return words;
    }
    const char **words = arena_alloc(a, (strlen(at) / 2 + 2) * sizeof(*words));
    while (*at != '\0') {
        size_t length = strcspn(at, " \t\n");
        words[n++] = arena_strndup(a, at, length);
        at += length;
        at += strspn(at, " \t\n");
    }
    return words;
}
