#include "tests/script/script.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

static char *file_read(const char *path)
{
    FILE *f = fopen(path, "r");
    if (f == NULL) {
        fprintf(stderr, "%s cannot be opened (run from the root of the source tree)\n", path);
        return NULL;
    }
    struct buf b = BUF_INIT;
    char chunk[4096];
    size_t n;
    while ((n = fread(chunk, 1, sizeof chunk, f)) > 0) {
        buf_append(&b, chunk, n);
    }
    fclose(f);
    char *s = xstrdup(buf_cstr(&b));
    buf_close(&b);
    return s;
}

const char *script_word(const struct script_step *step, const char *key)
{
    size_t n = strlen(key);
    for (unsigned i = 0; i < step->words_count; i++) {
        if (strncmp(step->words[i], key, n) == 0 && (step->words[i][n] == '=' || step->words[i][n] == '\0')) {
            return step->words[i][n] == '=' ? step->words[i] + n + 1 : "";
        }
    }
    return NULL;
}

struct reader {
    char *at;
    unsigned line;
};

/* The next line, NUL-terminated in place; NULL at the end. */
static char *line_next(struct reader *r)
{
    if (*r->at == '\0') {
        return NULL;
    }
    char *start = r->at, *end = strchr(start, '\n');
    r->line++;
    if (end == NULL) {
        r->at = start + strlen(start);
    } else {
        *end = '\0';
        r->at = end + 1;
    }
    return start;
}

static void step_words(struct script_step *step, char *line)
{
    char *save;
    step->command = strtok_r(line, " ", &save);
    for (char *p = strtok_r(NULL, " ", &save); p != NULL; p = strtok_r(NULL, " ", &save)) {
        assert(step->words_count < SCRIPT_WORDS_MAX);
        step->words[step->words_count++] = p;
    }
}

static bool expectation_check(const char *path, unsigned line, const char *command, const char *wanted, const char *got)
{
    if (strcmp(wanted, got) == 0 || getenv("REGEN") != NULL) {
        return true;
    }
    fprintf(stderr, "%s:%u: %s\n---- expected\n%s---- got\n%s----\n", path, line, command, wanted, got);
    return false;
}

/* One step from its command line on. */
static bool step_do(const char *path, struct reader *r, char *first, script_do *run, void *data, struct buf *regen)
{
    struct script_step step = {0};
    struct buf body = BUF_INIT, wanted = BUF_INIT, got = BUF_INIT;
    unsigned line = r->line;
    char *command = xstrdup(first), *l;
    while ((l = line_next(r)) != NULL && strcmp(l, "----") != 0) {
        buf_printf(&body, "%s\n", l);
    }
    while (l != NULL && (l = line_next(r)) != NULL && l[0] != '\0') {
        buf_printf(&wanted, "%s\n", l);
    }
    step_words(&step, first);
    step.body = buf_cstr(&body);
    run(data, &step, &got);
    buf_printf(regen, "%s\n%s----\n%s\n", command, buf_cstr(&body), buf_cstr(&got));
    bool ok = expectation_check(path, line, command, buf_cstr(&wanted), buf_cstr(&got));
    free(command);
    buf_close(&body);
    buf_close(&wanted);
    buf_close(&got);
    return ok;
}

bool script_run(const char *path, script_do *run, void *data)
{
    char *text = file_read(path);
    bool ok = text != NULL, regenerate = getenv("REGEN") != NULL;
    if (text == NULL) {
        return false;
    }
    struct reader r = {text, 0};
    struct buf regen = BUF_INIT;
    for (char *l; (l = line_next(&r)) != NULL;) {
        if (l[0] == '\0' || l[0] == '#') {
            buf_printf(&regen, "%s\n", l);
        } else {
            ok &= step_do(path, &r, l, run, data, &regen);
        }
    }
    if (regenerate) {
        FILE *f = fopen(path, "w");
        ok = f != NULL && fwrite(regen.data, 1, regen.size, f) == regen.size;
        ok &= f == NULL || fclose(f) == 0;
    }
    buf_close(&regen);
    free(text);
    return ok;
}
