/* Requests of the scripts, with bytes changed, taken out, doubled, and pieces of others put in: behind each script, on
 * the state that it has left. Each is answered, or refused and closed, or waits for more bytes; whatever becomes of it,
 * the master goes on, and when it is over all places and bytes are given back (world_close). Part of api_rest.c, whose
 * world it uses.
 *
 * MUTATIONS=100000 build/tests/unit/api_rest tries more of them than every run does; MUTATE_SEED begins elsewhere. */
#ifndef TESTS_UNIT_API_REST_MUTATE_H
#define TESTS_UNIT_API_REST_MUTATE_H

#define MUTATIONS    200u /* a script */
#define MUTATE_MOST  3u   /* changes of one request */
#define MUTATE_STEPS 300u /* of the world, for an answer */
#define MUTATE_BYTES (64u << 10)
#define MUTATE_KEEP  256u /* requests of a script */

/* What is special in each part of a request. */
static const char *const mutate_lines[] = {"%00",
                                           "%2F",
                                           "..",
                                           "/",
                                           "/status",
                                           "/scale",
                                           "?watch=true&timeoutSeconds=1",
                                           "?limit=1",
                                           "&continue=x",
                                           "&resourceVersion=18446744073709551615",
                                           "&resourceVersion=0",
                                           "&resourceVersionMatch=Exact",
                                           "&labelSelector=a+in+(b)",
                                           "&fieldSelector=metadata.name%3Da",
                                           "?dryRun=All",
                                           "&fieldManager=m&force=true",
                                           "&fieldValidation=Strict",
                                           "&sendInitialEvents=true&allowWatchBookmarks=true",
                                           "&propagationPolicy=Foreground",
                                           "watch/",
                                           "namespaces/default/"};
static const char *const mutate_heads[] = {"Transfer-Encoding: chunked\r\n",
                                           "Content-Length: 0\r\n",
                                           "Expect: 100-continue\r\n",
                                           "Accept: application/json;as=Table;v=v1;g=meta.k8s.io\r\n",
                                           "Accept-Encoding: gzip\r\n",
                                           "Content-Type: application/json-patch+json\r\n",
                                           "Content-Type: application/strategic-merge-patch+json\r\n",
                                           "Content-Type: application/apply-patch+yaml\r\n",
                                           "Content-Type: application/vnd.kubernetes.protobuf\r\n",
                                           "Impersonate-User: tom\r\n",
                                           "If-None-Match: *\r\n",
                                           "Authorization: Bearer a.b.c\r\n",
                                           "Upgrade: websocket\r\nConnection: Upgrade\r\n"};
static const char *const mutate_bodies[] = {
    "\"metadata\":", "{}",   "[]",      "null", "-1",  "9223372036854775808",   "1e400", "\"", "\"\\ud800\"",
    "true",          "\xff", "{\"a\":", ",",    "0.1", "\"$patch\":\"delete\","};

static struct buf mutate_kept[MUTATE_KEEP];
static unsigned mutate_count;

/* A request that a script makes. */
static void mutate_keep(struct str text)
{
    if (mutate_count < MUTATE_KEEP && text.n > 0 && text.n <= MUTATE_BYTES) {
        buf_append_str(&mutate_kept[mutate_count++], text);
    }
}

static void mutate_forget(void)
{
    while (mutate_count > 0) {
        buf_close(&mutate_kept[--mutate_count]);
    }
}

static void mutate_splice(struct buf *b, size_t at, size_t without, struct str with)
{
    CLEANUP_BUF struct buf out = BUF_INIT;
    buf_append(&out, b->data, at);
    buf_append_str(&out, with);
    buf_append(&out, b->data + at + without, b->size - at - without);
    buf_reset(b);
    buf_append_str(b, buf_str(&out));
}

#define PICK_WORD(rng, list) str_of(list[rng_below(rng, ARRAY_SIZE(list))])

/* Where, what is at home there, and how many bytes may go. Targets and bodies have the most: a head with a wrong byte
 * is refused, and nobody looks at the rest. */
static size_t mutate_place(const struct buf *b, struct rng *rng, struct str *word, size_t *room)
{
    const char *p = (const char *)b->data, *line = memchr(p, '\r', b->size), *end = memmem(p, b->size, "\r\n\r\n", 4);
    size_t line_n = line == NULL || line - p < 9 ? 0 : (size_t)(line - p) - 9; /* without HTTP/1.1 */
    const char *target = memchr(p, '/', line_n);
    size_t first = target == NULL ? 0 : (size_t)(target - p) + 1;
    size_t head_n = end == NULL ? b->size : (size_t)(end - p) + 4;
    uint64_t part = rng_below(rng, 8);
    if (part < 3 || (part < 7 && head_n == b->size)) {
        *word = PICK_WORD(rng, mutate_lines);
        size_t at = rng_below(rng, 3) == 0 ? line_n : first + (size_t)rng_below(rng, line_n - MIN(line_n, first) + 1);
        *room = line_n - MIN(line_n, at);
        return MIN(at, b->size);
    }
    if (part < 7) {
        *word = PICK_WORD(rng, mutate_bodies);
        size_t at = head_n + (size_t)rng_below(rng, b->size - head_n + 1);
        *room = b->size - at;
        return at;
    }
    *room = 0;
    *word = PICK_WORD(rng, mutate_heads);
    return line == NULL || rng_below(rng, 4) == 0 ? (size_t)rng_below(rng, head_n + 1) : (size_t)(line - p) + 2;
}

static void mutate_once(struct buf *b, struct rng *rng)
{
    struct str word;
    size_t room, at = mutate_place(b, rng, &word, &room), n = (size_t)rng_below(rng, MIN(room, (size_t)20) + 1);
    const struct buf *other = &mutate_kept[rng_below(rng, mutate_count)];
    struct str theirs;
    size_t theirs_room, from = mutate_place(other, rng, &theirs, &theirs_room), most = MIN(theirs_room, (size_t)100);
    uint64_t way = rng_below(rng, 10);
    if (way == 0 && n > 0 && rng_below(rng, 4) == 0) {
        b->data[at] = (uint8_t)rng_below(rng, 256);
    } else if (way <= 1 && n > 0) {
        b->data[at] = (uint8_t)(' ' + 1 + rng_below(rng, 94));
    } else if (way == 2) {
        mutate_splice(b, at, n, STR_NONE);
    } else if (way == 3) {
        mutate_splice(b, at, 0, (struct str){(const char *)b->data + at, n});
    } else if (way == 4) {
        mutate_splice(b, at, n, (struct str){(const char *)other->data + from, (size_t)rng_below(rng, most + 1)});
    } else {
        mutate_splice(b, at, 0, word);
    }
}

/* The body is as long as its head says: else whatever is in it is looked at by nobody. */
static void mutate_mend(struct buf *b)
{
    static const char name[] = "Content-Length: ";
    const char *p = (const char *)b->data, *end = memmem(p, b->size, "\r\n\r\n", 4);
    const char *at = end == NULL ? NULL : memmem(p, (size_t)(end - p), name, sizeof name - 1);
    char digits[24];
    if (at != NULL) {
        at += sizeof name - 1;
        const char *stop = memchr(at, '\r', (size_t)(end + 1 - at));
        int n = snprintf(digits, sizeof digits, "%zu", b->size - (size_t)(end - p) - 4);
        mutate_splice(b, (size_t)(at - p), (size_t)(stop - at), (struct str){digits, (size_t)n});
    }
}

/* answers: by the first digit of their status; 0: none yet. */
static void mutate_try(struct world *w, const struct buf *b, const char *as, size_t piece, unsigned answers[10])
{
    struct wire *wire = wire_named(w, NULL, as);
    for (size_t at = 0; at < b->size && !wire->closed; at += piece) {
        rest_conn_feed(wire->conn, b->data + at, MIN(piece, b->size - at));
    }
    for (unsigned i = 0; i < MUTATE_STEPS && wire->conn->call != NULL && !wire->closed; i++) {
        turn_once(w);
        step(&w->c);
    }
    const char *out = (const char *)wire->out.data;
    if (wire->out.size > 0 && (wire->out.size < 12 || memcmp(out, "HTTP/1.1 ", 9) != 0)) {
        fail_msg("an answer that is none: %.*s\nto: %.*s", (int)wire->out.size, out, (int)b->size,
                 (const char *)b->data);
    }
    if (wire->closed && wire->out.size == 0) {
        fail_msg("closed without a word: %.*s", (int)b->size, (const char *)b->data);
    }
    answers[wire->out.size > 9 && out[9] >= '0' && out[9] <= '9' ? out[9] - '0' : 0]++;
    wire_hang_up(wire);
    turn_once(w);
}

static void mutate_all(struct world *w, const char *script)
{
    static const char *const who[] = {"admin", "admin", "admin", "node", "none", "tom"};
    const char *many = getenv("MUTATIONS"), *seed = getenv("MUTATE_SEED");
    unsigned count = many == NULL ? MUTATIONS : (unsigned)atoi(many);
    struct rng rng = {.state = strlen(script) * 7919 + (seed == NULL ? 1 : strtoul(seed, NULL, 10))};
    unsigned answers[10] = {0};
    for (unsigned i = 0; i < count && mutate_count > 0; i++) {
        CLEANUP_BUF struct buf b = BUF_INIT;
        buf_append_str(&b, buf_str(&mutate_kept[rng_below(&rng, mutate_count)]));
        for (uint64_t n = 1 + rng_below(&rng, MUTATE_MOST); n > 0; n--) {
            mutate_once(&b, &rng);
        }
        if (rng_below(&rng, 8) != 0) {
            mutate_mend(&b);
        }
        bool cut = rng_below(&rng, 4) == 0;
        mutate_try(w, &b, who[rng_below(&rng, ARRAY_SIZE(who))], cut ? 1 + (size_t)rng_below(&rng, 20) : b.size + 1,
                   answers);
    }
    run_ms(w, 1000);
    if (many != NULL) {
        print_message("%u requests: %u done, %u refused, %u not done, %u not whole\n", count, answers[2], answers[4],
                      answers[5], answers[0]);
    }
}

#endif
