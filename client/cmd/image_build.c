/* rctl image build: an archive that nodes load, of directories, files and Debian packages (client/image/build.h). */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/cmd/image.h"
#include "client/image/build.h"

static const struct option_row build_options[] = {
    {"tag", 't', OPTION_VALUE, NULL, NULL, "NAME:TAG", "what the image is called"},
    {"output", 'o', OPTION_VALUE, ".", NULL, "FILE", "the archive; of a directory: NAME-TAG.tar in it"},
    {"file", 'f', OPTION_VALUE, NULL, NULL, "FILE",
     "a YAML file that says what the image is made of; options go over it"},
    {"from", 0, OPTION_VALUE, NULL, NULL, "ARCHIVE", "an image that lies below, as an archive that was built before"},
    {"packages", 0, OPTION_REPEAT, NULL, NULL, "NAME,...", "Debian packages, with what they depend on"},
    {"suite", 0, OPTION_VALUE, NULL, NULL, "NAME", "of Debian (bookworm)"},
    {"mirror", 0, OPTION_VALUE, NULL, NULL, "URL", "where packages come from (as apt is configured)"},
    {"exclude", 0, OPTION_REPEAT, NULL, NULL, "PATTERN", "paths of packages that are left out"},
    {"keep-owners", 0, OPTION_FLAG, NULL, NULL, NULL, "files keep their owners; otherwise all are root's"},
    {"entrypoint", 0, OPTION_VALUE, NULL, NULL, "WORDS", "the program: '[\"a\", \"b c\"]', or words between blanks"},
    {"cmd", 0, OPTION_VALUE, NULL, NULL, "WORDS", "its arguments, or the program if there is no entrypoint"},
    {"env", 'e', OPTION_REPEAT, NULL, NULL, "NAME=VALUE", "a variable"},
    {"user", 'u', OPTION_VALUE, NULL, NULL, "USER", "who runs it: name or number, and :GROUP"},
    {"workdir", 'w', OPTION_VALUE, NULL, NULL, "PATH", "where it runs"},
    {"expose", 0, OPTION_REPEAT, NULL, NULL, "PORT", "a port that it listens at, as a note to readers"},
    {"label", 0, OPTION_REPEAT, NULL, NULL, "NAME=VALUE", "a label"},
    {"stop-signal", 0, OPTION_VALUE, NULL, NULL, "SIGNAL", "what ends it (SIGTERM)"},
};

/* What -f says stands in front. */
static const char *const *join(struct rctl *r, const char *const *first, const char *const *second, unsigned count)
{
    unsigned n = 0, before = 0;
    while (first != NULL && first[before] != NULL) {
        before++;
    }
    if (count == 0) {
        return first;
    }
    const char **list = arena_alloc(&r->arena, (before + count + 1) * sizeof(*list));
    for (; n < before; n++) {
        list[n] = first[n];
    }
    for (unsigned i = 0; i < count; i++) {
        list[n++] = second[i];
    }
    return list;
}

/* The values of a repeated option; with `commas` each may hold several. */
static const char *const *add_option(struct rctl *r, const char *const *first, const char *name, bool commas)
{
    const char **list = arena_alloc(&r->arena, BUILD_LIST_MAX * sizeof(*list));
    unsigned n = 0;
    for (unsigned i = 0; i < args_count(&r->args, name); i++) {
        for (const char *at = args_at(&r->args, name, i); at != NULL && n < BUILD_LIST_MAX - 1;) {
            size_t length = commas ? strcspn(at, ",") : strlen(at);
            list[n++] = arena_strndup(&r->arena, at, length);
            at = at[length] == ',' ? at + length + 1 : NULL;
        }
    }
    return join(r, first, list, n);
}

static int set_words(struct rctl *r, const char *name, const char *const **out, struct error *err)
{
    if (opt(r, name) != NULL && (*out = build_words(&r->arena, opt(r, name))) == NULL) {
        return error_set(err, ERR_USAGE, "--%s: a JSON list of texts is needed, or words between blanks", name);
    }
    return 0;
}

static int check_pairs(struct rctl *r, const char *name, struct error *err)
{
    for (unsigned i = 0; i < args_count(&r->args, name); i++) {
        const char *text = args_at(&r->args, name, i);
        if (strchr(text, '=') == NULL || text[0] == '=') {
            return error_set(err, ERR_USAGE, "--%s %s: NAME=VALUE is needed", name, text);
        }
    }
    return 0;
}

static void set_text(struct rctl *r, const char *name, const char **out)
{
    *out = opt(r, name) != NULL ? opt(r, name) : *out;
}

static int read_options(struct rctl *r, struct build_spec *s, struct error *err)
{
    set_text(r, "tag", &s->name);
    set_text(r, "from", &s->from);
    set_text(r, "suite", &s->suite);
    set_text(r, "mirror", &s->mirror);
    set_text(r, "user", &s->user);
    set_text(r, "workdir", &s->workdir);
    set_text(r, "stop-signal", &s->stop_signal);
    s->keep_owners = s->keep_owners || opt_flag(r, "keep-owners");
    s->packages = add_option(r, s->packages, "packages", true);
    s->exclude = add_option(r, s->exclude, "exclude", false);
    s->env = add_option(r, s->env, "env", false);
    s->labels = add_option(r, s->labels, "label", false);
    s->dirs = join(r, s->dirs, r->args.words, r->args.words_count);
    const char **ports = arena_alloc(&r->arena, (args_count(&r->args, "expose") + 1) * sizeof(*ports));
    for (unsigned i = 0; i < args_count(&r->args, "expose"); i++) {
        ports[i] = build_port(&r->arena, args_at(&r->args, "expose", i));
        if (ports[i] == NULL) {
            return error_set(err, ERR_USAGE, "--expose %s: a port is needed: 80, 53/udp",
                             args_at(&r->args, "expose", i));
        }
    }
    s->ports = join(r, s->ports, ports, args_count(&r->args, "expose"));
    int rc = check_pairs(r, "env", err);
    rc = rc != 0 ? rc : check_pairs(r, "label", err);
    rc = rc != 0 ? rc : set_words(r, "entrypoint", &s->entrypoint, err);
    return rc != 0 ? rc : set_words(r, "cmd", &s->cmd, err);
}

/* "app/web:1.0" in a directory: app-web-1.0.tar. */
static const char *output_path(struct rctl *r, const char *name)
{
    const char *path = opt(r, "output");
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return path;
    }
    char *file = arena_strdup(&r->arena, name);
    for (char *c = file; *c != '\0'; c++) {
        *c = *c == '/' || *c == ':' ? '-' : *c;
    }
    return arena_printf(&r->arena, "%s/%s.tar", path, file);
}

static void tell(void *data, const char *text)
{
    rctl_note(data, "%s", text);
}

static int run_build(struct rctl *r)
{
    struct error err = {0};
    struct build_spec s = {0};
    struct build_result result;
    if (opt(r, "file") != NULL && build_spec_read(&r->arena, opt(r, "file"), &s, &err) != 0) {
        return rctl_fail_here(r, &err);
    }
    if (read_options(r, &s, &err) != 0) {
        return common_fail(r, &err);
    }
    if (s.name == NULL) {
        return rctl_usage(r, "what is the image called? -t NAME:TAG");
    }
    const char *path = output_path(r, s.name);
    if (build_image(&s, path, tell, r, &result, &err) != 0) {
        return err.code == ERR_USAGE ? common_fail(r, &err) : rctl_fail_here(r, &err);
    }
    fprintf(r->out, "%s: %s, sha256:%.12s, %u layer%s, %s\n", path, s.name, result.digest_hex, result.layers,
            result.layers == 1 ? "" : "s", image_size_text(&r->arena, (int64_t)result.size_bytes));
    return EXIT_DONE;
}

const struct command image_build = {
    .name = "build",
    .usage = "[DIR...] -t NAME:TAG [-o FILE] [-f FILE]",
    .summary = "Make an image of directories, files and Debian packages",
    .examples =
        "  # of a root file system\n"
        "  rctl image build rootfs -t web:1.0 --cmd '[\"/bin/server\", \"--port=80\"]' --expose 80\n"
        "  # of packages, with a file of ours over them\n"
        "  rctl image build site -t web:1.0 --packages nginx-light --cmd '[\"nginx\", \"-g\", \"daemon off;\"]'\n"
        "  # on top of another one\n"
        "  rctl image build app -t app:2.0 --from base.tar -e GREETING=hello\n"
        "  # as a file says\n"
        "  rctl image build -f image.yaml -o build/images && rctl image load build/images/web-1.0.tar\n",
    .options = build_options,
    .options_count = ARRAY_SIZE(build_options),
    .run = run_build,
};
