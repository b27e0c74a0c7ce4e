/* Images that rctl makes: what is in them, that the same inputs give the same bytes, what is refused. mmdebstrap is
 * played by a script. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/machine.h"
#include "client/image/build.h"
#include "proto/text/text.h"

struct fixture {
    char dir[64];
    struct arena arena;
    struct error err;
    struct build_result result;
};

static int setup(void **state)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    snprintf(f->dir, sizeof(f->dir), "/tmp/client-image-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    assert_int_equal(chdir(f->dir), 0);
    arena_init(&f->arena);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf %s", f->dir);
    assert_int_equal(system(command), 0);
    arena_close(&f->arena);
    free(f);
    return 0;
}

static void put(const char *path, const char *text)
{
    FILE *s = fopen(path, "w");
    assert_non_null(s);
    fputs(text, s);
    fclose(s);
}

static void make_root(const char *dir)
{
    CLEANUP_FREE char *etc = xasprintf("%s/etc", dir), *motd = xasprintf("%s/etc/motd", dir),
                      *link = xasprintf("%s/link", dir);
    mkdir(dir, 0755);
    mkdir(etc, 0755);
    put(motd, "hello");
    assert_int_equal(symlink("/etc/motd", link), 0);
}

static void must_build(struct fixture *f, const struct build_spec *s, const char *path)
{
    if (build_image(s, path, NULL, NULL, &f->result, &f->err) != 0) {
        fail_msg("%s", f->err.message);
    }
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, f->result.size_bytes);
}

static void must_fail(struct fixture *f, const struct build_spec *s, int code, const char *words)
{
    f->err = (struct error){0};
    assert_int_equal(build_image(s, "bad.tar", NULL, NULL, &f->result, &f->err), code);
    if (strstr(f->err.message, words) == NULL) {
        fail_msg("%s", f->err.message);
    }
    assert_int_not_equal(access("bad.tar", F_OK), 0);
    assert_int_equal(system("test -z \"$(ls -d .build-* 2>/dev/null)\""), 0); /* nothing of the work is left */
}

/* ---- Reading an archive back ---- */

static void read_entry(const char *path, const char *name, struct buf *out)
{
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_filename(a, path, 4096), ARCHIVE_OK);
    while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
        if (strcmp(archive_entry_pathname(e), name) == 0) {
            size_t n = (size_t)archive_entry_size(e);
            assert_int_equal(archive_read_data(a, buf_reserve(out, n), n), n);
            out->size = n;
        }
    }
    archive_read_free(a);
    assert_true(out->size > 0);
}

/* A blob has the digest that it is named by. */
static void read_blob(const char *path, struct str digest, struct buf *out)
{
    char hex[LAYER_HEX_SIZE];
    CLEANUP_FREE char *name = xasprintf("blobs/sha256/%.*s", (int)digest.n - 7, digest.p + 7);
    read_entry(path, name, out);
    sha256_hex(out->data, out->size, hex);
    assert_string_equal(hex, name + 13);
}

static struct value *read_doc(struct fixture *f, const char *path, struct str digest)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *v;
    read_blob(path, digest, &b);
    assert_int_equal(json_read(&f->arena, buf_str(&b), &v, &f->err), 0);
    return v;
}

static struct value *manifest_of(struct fixture *f, const char *path)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    struct value *index;
    read_entry(path, "index.json", &b);
    assert_int_equal(json_read(&f->arena, buf_str(&b), &index, &f->err), 0);
    return read_doc(f, path, value_path_str(value_item(value_get(index, "manifests"), 0), "digest"));
}

static struct value *config_of(struct fixture *f, const char *path)
{
    return read_doc(f, path, value_path_str(manifest_of(f, path), "config.digest"));
}

/* "TYPE MODE UID NAME [-> TARGET] [= CONTENT]", a line each. */
static char *layer_of(struct fixture *f, const char *path, unsigned i)
{
    CLEANUP_BUF struct buf blob = BUF_INIT;
    struct buf lines = BUF_INIT;
    read_blob(path, value_path_str(value_item(value_get(manifest_of(f, path), "layers"), i), "digest"), &blob);
    struct archive *a = archive_read_new();
    struct archive_entry *e;
    archive_read_support_filter_gzip(a);
    archive_read_support_format_tar(a);
    assert_int_equal(archive_read_open_memory(a, blob.data, blob.size), ARCHIVE_OK);
    while (archive_read_next_header(a, &e) == ARCHIVE_OK) {
        mode_t type = archive_entry_filetype(e);
        char text[64] = "";
        assert_int_equal(archive_entry_mtime(e), 0);
        buf_printf(&lines, "%c %04o %d %s",
                   type == AE_IFDIR   ? 'd'
                   : type == AE_IFLNK ? 'l'
                                      : 'f',
                   archive_entry_perm(e), (int)archive_entry_uid(e), archive_entry_pathname(e));
        if (type == AE_IFLNK) {
            buf_printf(&lines, " -> %s", archive_entry_symlink(e));
        } else if (type == AE_IFREG && archive_entry_size(e) < 60) {
            archive_read_data(a, text, sizeof(text) - 1);
            text[strcspn(text, "\n")] = '\0';
            buf_printf(&lines, " = %s", text);
        }
        buf_puts(&lines, "\n");
    }
    archive_read_free(a);
    char *out = arena_strdup(&f->arena, buf_cstr(&lines));
    buf_close(&lines);
    return out;
}

static void expect_words(const struct value *list, const char *words)
{
    CLEANUP_BUF struct buf b = BUF_INIT;
    VALUE_FOR(i, list)
    {
        buf_printf(&b, "%s%.*s", i > 0 ? "|" : "", STR_ARG(value_to_str(value_item(list, i))));
    }
    assert_string_equal(buf_cstr(&b), words);
}

/* ---- Directories, files, what lies below ---- */

static const char *const root_dirs[] = {"root", NULL};

static void a_directory_becomes_an_image(void **state)
{
    struct fixture *f = *state;
    static const char *const cmd[] = {"sh", "-c", "echo \"x\"", NULL}, *const env[] = {"A=b c", NULL},
                             *const ports[] = {"80/tcp", NULL}, *const labels[] = {"v=1", NULL};
    struct build_spec s = {.name = "web:1.0",
                           .dirs = root_dirs,
                           .cmd = cmd,
                           .env = env,
                           .ports = ports,
                           .labels = labels,
                           .user = "1000",
                           .workdir = "/srv",
                           .stop_signal = "SIGQUIT"};
    make_root("root");
    assert_int_equal(chown("root/etc/motd", getuid(), getgid()), 0);
    must_build(f, &s, "web.tar");
    assert_string_equal(layer_of(f, "web.tar", 0),
                        "d 0755 0 etc/\nf 0644 0 etc/motd = hello\nl 0777 0 link -> /etc/motd\n");
    const struct value *config = config_of(f, "web.tar"), *c = value_get(config, "config");
    expect_words(value_get(c, "Cmd"), "sh|-c|echo \"x\"");
    expect_words(value_get(c, "Env"), "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin|A=b c");
    assert_true(str_is(value_path_str(c, "User"), "1000") && str_is(value_path_str(c, "WorkingDir"), "/srv") &&
                str_is(value_path_str(c, "StopSignal"), "SIGQUIT") && str_is(value_path_str(c, "Labels.v"), "1"));
    assert_true(value_is_map(value_get(value_get(c, "ExposedPorts"), "80/tcp")));
    assert_true(str_is(value_path_str(config, "architecture"), machine_arch()));
}

static void the_same_inputs_give_the_same_bytes(void **state)
{
    struct fixture *f = *state;
    struct build_spec s = {.name = "web:1.0", .dirs = root_dirs};
    make_root("root");
    must_build(f, &s, "a.tar");
    assert_int_equal(system("cp -r root other && touch -d @1 other/etc/motd && rm -rf root && mv other root"), 0);
    must_build(f, &s, "b.tar");
    assert_int_equal(system("cmp a.tar b.tar"), 0);
}

static void an_image_is_built_on_another(void **state)
{
    struct fixture *f = *state;
    static const char *const entry[] = {"/bin/a", NULL}, *const cmd[] = {"x", NULL},
                             *const env[] = {"A=1", "B=2", NULL}, *const env2[] = {"A=3", NULL},
                             *const more[] = {"more", NULL};
    struct build_spec base = {
        .name = "base:1", .dirs = root_dirs, .entrypoint = entry, .cmd = cmd, .env = env, .user = "33"};
    struct build_spec top = {.name = "top:1", .from = "base.tar", .dirs = more, .env = env2};
    make_root("root");
    mkdir("more", 0700);
    put("more/new", "n");
    must_build(f, &base, "base.tar");
    must_build(f, &top, "top.tar");
    assert_int_equal(f->result.layers, 2);
    assert_string_equal(layer_of(f, "top.tar", 0), layer_of(f, "base.tar", 0));
    assert_string_equal(layer_of(f, "top.tar", 1), "f 0644 0 new = n\n");
    const struct value *c = value_get(config_of(f, "top.tar"), "config");
    expect_words(value_get(c, "Entrypoint"), "/bin/a");
    expect_words(value_get(c, "Cmd"), "x");
    assert_true(str_is(value_path_str(c, "User"), "33"));
    const struct value *list = value_get(c, "Env");
    assert_int_equal(value_count(list), 3); /* PATH, B and the new A */
    assert_true(str_is(value_to_str(value_item(list, 2)), "A=3"));
    /* Another program: the arguments below were for the former one. */
    static const char *const other[] = {"/bin/b", NULL};
    struct build_spec third = {.name = "third:1", .from = "top.tar", .entrypoint = other};
    must_build(f, &third, "third.tar");
    assert_null(value_get(value_get(config_of(f, "third.tar"), "config"), "Cmd"));
    must_build(f, &third, "top.tar"); /* over what it is built on */
}

static void a_file_says_what_an_image_is_made_of(void **state)
{
    struct fixture *f = *state;
    struct build_spec s;
    mkdir("app", 0755);
    mkdir("app/code", 0755);
    put("app/code/a.py", "print(1)");
    put("app/image.yaml", "name: app:2.0\n"
                          "files:\n"
                          "- {to: /app, from: code}\n"
                          "- {to: /etc/app.conf, text: \"x=1\\n\", mode: 0600, owner: \"33:34\"}\n"
                          "- {to: /var/lib/app, owner: 33, mode: \"0700\"}\n"
                          "- {to: /current, link: /app}\n"
                          "cmd: python3 -u /app/a.py\n"
                          "env: {PORT: 80, NAME: x}\n"
                          "expose: [80, 53/udp]\n"
                          "user: 33\n");
    assert_int_equal(build_spec_read(&f->arena, "app/image.yaml", &s, &f->err), 0);
    must_build(f, &s, "app.tar");
    assert_string_equal(layer_of(f, "app.tar", 0), "d 0755 0 app/\n"
                                                   "f 0644 0 app/a.py = print(1)\n"
                                                   "f 0600 33 etc/app.conf = x=1\n"
                                                   "d 0700 33 var/lib/app/\n"
                                                   "l 0777 0 current -> /app\n");
    const struct value *c = value_get(config_of(f, "app.tar"), "config");
    expect_words(value_get(c, "Cmd"), "python3|-u|/app/a.py");
    assert_true(value_is_map(value_get(value_get(c, "ExposedPorts"), "53/udp")));
    assert_true(str_is(value_path_str(c, "User"), "33"));
}

static void what_the_file_says_wrong_is_told_with_its_place(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text, *words;
    } rows[] = {
        {"name: a\ncolour: red\n", "i.yaml:2: colour: unknown field"},
        {"name: [a]\n", "name: text is needed"},
        {"packages: nginx\n", "packages: a list is needed"},
        {"files: [{from: x}]\n", "to: a path of the image is needed"},
        {"files: [{to: /x, from: a, text: b}]\n", "one of from, text and link"},
        {"files: [{to: /x, mode: 99999}]\n", "mode: an octal number"},
        {"files: [{to: /x, owner: me}]\n", "owner: numbers are needed"},
        {"files: [{to: /x, size: 1}]\n", "size: unknown field"},
        {"users: [{name: \"a:b\", uid: 1}]\n", "a name of letters"},
        {"users: [{name: a}]\n", "and a uid are needed"},
        {"expose: [0]\n", "expose: a port is needed"},
        {"expose: [80/xyz]\n", "expose: a port is needed"},
        {"env: {A: 1.5}\n", "env: text is needed"},
        {"- a\n", "one document is needed"},
        {"name: a\n---\nname: b\n", "one document is needed"},
        {"a: [\n", "i.yaml:"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct build_spec s;
        put("i.yaml", rows[i].text);
        f->err = (struct error){0};
        assert_int_not_equal(build_spec_read(&f->arena, "i.yaml", &s, &f->err), 0);
        if (strstr(f->err.message, rows[i].words) == NULL) {
            fail_msg("%s: %s", rows[i].text, f->err.message);
        }
    }
    struct build_spec s;
    assert_int_not_equal(build_spec_read(&f->arena, "none.yaml", &s, &f->err), 0);
}

static void what_makes_no_image_is_refused(void **state)
{
    struct fixture *f = *state;
    static const char *const none[] = {"none", NULL}, *const file[] = {"file", NULL}, *const bad[] = {"a b", NULL};
    static const struct build_user users[] = {{.name = "a"}};
    put("file", "x");
    must_fail(f, &(struct build_spec){.name = "a:1"}, ERR_USAGE, "of what?");
    must_fail(f, &(struct build_spec){.name = "a:1", .dirs = none}, ERR_NOT_FOUND, "none");
    must_fail(f, &(struct build_spec){.name = "a:1", .dirs = file}, ERR_INVALID, "no directory");
    must_fail(f, &(struct build_spec){.name = "a:1", .from = "file"}, ERR_INVALID, "file cannot be read");
    must_fail(f, &(struct build_spec){.name = "a:1", .from = "none"}, ERR_INVALID, "none");
    must_fail(f, &(struct build_spec){.name = "a:1", .packages = bad}, ERR_INVALID, "no name of a package");
    must_fail(f, &(struct build_spec){.name = "a:1", .dirs = none, .users = users, .users_count = 1}, ERR_INVALID,
              "users go with packages");
    must_fail(f, &(struct build_spec){.name = "A:1", .dirs = none}, ERR_INVALID, "small letters");
    must_fail(f, &(struct build_spec){.name = "https://a/b:1", .dirs = none}, ERR_INVALID, "without https://");
    must_fail(f, &(struct build_spec){.name = "a:", .dirs = none}, ERR_INVALID, "no name");
    /* A tar that is no image. */
    assert_int_equal(system("tar -cf plain.tar file"), 0);
    must_fail(f, &(struct build_spec){.name = "a:1", .from = "plain.tar"}, ERR_INVALID, "no OCI archive");
    assert_int_equal(system("echo '{}' >index.json && tar -cf empty.tar index.json"), 0);
    must_fail(f, &(struct build_spec){.name = "a:1", .from = "empty.tar"}, ERR_INVALID, "holds 0 images");
    assert_int_equal(system("echo '{\"manifests\":[{\"digest\":\"sha256:../../etc/passwd\"}]}' >index.json && "
                            "tar -cf out.tar index.json"),
                     0);
    must_fail(f, &(struct build_spec){.name = "a:1", .from = "out.tar"}, ERR_INVALID, "images");
}

static void deep_and_strange_directories(void **state)
{
    struct fixture *f = *state;
    struct build_spec s = {.name = "a:1", .dirs = root_dirs};
    make_root("root");
    assert_int_equal(mkfifo("root/fifo", 0600), 0); /* would be waited for */
    must_build(f, &s, "a.tar");
    assert_null(strstr(layer_of(f, "a.tar", 0), "fifo"));
    assert_int_equal(system("cd root; for i in $(seq 300); do mkdir d && cd d || exit 1; done"), 0);
    must_fail(f, &s, ERR_TOO_LARGE, "more than 256 deep");
}

static void words_of_a_command(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *text;
        unsigned count; /* 99: refused */
        const char *last;
    } rows[] = {{"a", 1, "a"},     {"  a  b ", 2, "b"},  {"", 0, NULL},   {"[\"a b\", \"c\"]", 2, "c"},
                {"[1]", 99, NULL}, {"[\"a\"", 99, NULL}, {"[]", 0, NULL}, {"[\"a\"] x", 99, NULL}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *const *w = build_words(&f->arena, rows[i].text);
        unsigned n = 0;
        assert_int_equal(w == NULL, rows[i].count == 99);
        while (w != NULL && w[n] != NULL) {
            n++;
        }
        assert_int_equal(w == NULL ? 99 : n, rows[i].count);
        if (rows[i].last != NULL) {
            assert_string_equal(w[n - 1], rows[i].last);
        }
    }
}

/* ---- Packages ---- */

/* A mmdebstrap that writes the tar of a directory, and says which packages were asked for. */
static void play_mmdebstrap(struct fixture *f, const char *end)
{
    CLEANUP_FREE char *path = xasprintf("%s:%s", f->dir, getenv("PATH"));
    CLEANUP_FREE char *script = xasprintf("#!/bin/sh\n"
                                          "echo \"$@\" >asked\n"
                                          "tar -C packages --sort=name --owner=0 --group=0 -cf - .\n"
                                          "%s\n",
                                          end);
    put("mmdebstrap", script);
    assert_int_equal(chmod("mmdebstrap", 0755), 0);
    setenv("PATH", path, 1);
    assert_int_equal(system("mkdir -p packages/bin packages/usr/share/doc/x packages/var/lib/app packages/etc/apt && "
                            "echo d >packages/usr/share/doc/x/copyright && echo c >packages/etc/app.conf && "
                            "echo o >packages/etc/other.conf && echo s >packages/etc/apt/sources.list && "
                            "printf '#!/bin/sh\\necho ls\\necho tool\\n' >packages/bin/busybox && "
                            "chmod 755 packages/bin/busybox && echo t >packages/bin/tool"),
                     0);
}

static void packages_become_a_layer(void **state)
{
    struct fixture *f = *state;
    static const char *const packages[] = {"app", "busybox-static", NULL}, *const exclude[] = {"/etc/other*", NULL};
    static const struct build_user users[] = {{.name = "redis", .id = {100, 101}, .home = "/var/lib/redis"}};
    struct build_spec s = {.name = "app:1",
                           .packages = packages,
                           .mirror = "http://mirror.example/debian",
                           .exclude = exclude,
                           .users = users,
                           .users_count = 1};
    play_mmdebstrap(f, "");
    must_build(f, &s, "app.tar");
    const char *lines = layer_of(f, "app.tar", 0);
    static const char *const there[] = {"etc/app.conf = c",       "f 0755 0 bin/busybox = ", "d 0755 0 var/lib/app/",
                                        "d 1777 0 tmp/",          "d 0755 0 proc/",          "etc/passwd",
                                        "bin/ls -> /bin/busybox", "f 0644 0 bin/tool = t"};
    static const char *const absent[] = {"copyright", "other.conf", "sources.list", "bin/tool ->"};
    for (size_t i = 0; i < ARRAY_SIZE(there); i++) {
        assert_non_null(strstr(lines, there[i]));
    }
    for (size_t i = 0; i < ARRAY_SIZE(absent); i++) {
        assert_null(strstr(lines, absent[i]));
    }
    assert_int_equal(system("grep -q -- '--include=app,busybox-static bookworm - deb http://mirror.example/debian "
                            "bookworm main' asked"),
                     0);
}

static void a_failure_of_mmdebstrap_is_told_in_its_words(void **state)
{
    struct fixture *f = *state;
    static const char *const packages[] = {"app", NULL};
    struct build_spec s = {.name = "app:1", .packages = packages, .mirror = "http://mirror.example/debian"};
    play_mmdebstrap(f, "echo 'E: Unable to locate package app' >&2; echo 'I: bye' >&2; exit 25");
    must_fail(f, &s, ERR_SYSTEM, "mmdebstrap failed: E: Unable to locate package app");
    put("mmdebstrap", "#!/bin/sh\nhead -c 700 /dev/zero | tr '\\0' x\n"); /* no tar, and a good end */
    must_fail(f, &s, ERR_CORRUPT, "what mmdebstrap writes cannot be read");
    CLEANUP_FREE char *path = xstrdup(getenv("PATH"));
    setenv("PATH", f->dir, 1);
    unlink("mmdebstrap");
    f->err = (struct error){0};
    assert_int_equal(build_image(&s, "bad.tar", NULL, NULL, &f->result, &f->err), ERR_NOT_FOUND);
    setenv("PATH", path, 1);
    assert_non_null(strstr(f->err.message, "apt-get install mmdebstrap"));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(a_directory_becomes_an_image),
        T(the_same_inputs_give_the_same_bytes),
        T(an_image_is_built_on_another),
        T(a_file_says_what_an_image_is_made_of),
        T(what_the_file_says_wrong_is_told_with_its_place),
        T(what_makes_no_image_is_refused),
        T(deep_and_strange_directories),
        T(words_of_a_command),
        T(packages_become_a_layer),
        T(a_failure_of_mmdebstrap_is_told_in_its_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
