/*
 * A client of Tokyo Cabinet's hash database.
 *
 *   tokyo create FILE RECORDS
 *   tokyo load FILE COUNT SEED   COUNT transactions, each synchronous, each puts one record
 *   tokyo check FILE COUNT SEED  reads each record: it is of one letter, and of the right one if
 *                                that load has written it
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tchdb.h>

#define RECORDS 20000
#define VALUE_BYTES 512

static TCHDB *db;

static int fail(const char *what)
{
    fprintf(stderr, "tokyo: %s: %s\n", what, tchdberrmsg(tchdbecode(db)));
    return 1;
}

static bool put(unsigned number, char letter)
{
    char key[16], value[VALUE_BYTES];
    int length = snprintf(key, sizeof(key), "%08u", number);

    memset(value, letter, sizeof(value));
    return tchdbput(db, key, length, value, sizeof(value));
}

static int create(unsigned records)
{
    for (unsigned number = 0; number < records; number++) {
        if (!put(number, 'a')) {
            return fail("put");
        }
    }
    return 0;
}

/* What the load puts next. */
static unsigned draw(char *letter)
{
    unsigned number = random() % RECORDS;

    *letter = 'a' + random() % 26;
    return number;
}

static int load(unsigned count, unsigned seed)
{
    srandom(seed);
    for (unsigned done = 0; done < count; done++) {
        char letter;
        unsigned number = draw(&letter);

        if (!tchdbtranbegin(db) || !put(number, letter) || !tchdbtrancommit(db)) {
            return fail("transaction");
        }
    }
    return 0;
}

static int check(unsigned count, unsigned seed)
{
    static char letters[RECORDS]; /* what the load wrote last; 0: nothing */
    unsigned long records = 0;
    void *key, *value;
    int length, size;

    srandom(seed);
    while (count-- > 0) {
        char letter;
        unsigned number = draw(&letter);

        letters[number] = letter;
    }
    if (!tchdbiterinit(db)) {
        return fail("iterate");
    }
    while ((key = tchdbiternext(db, &length))) {
        value = tchdbget(db, key, length, &size);
        char expected = letters[strtoul(key, NULL, 10) % RECORDS];

        if (!value || size != VALUE_BYTES || memcmp(value, (char *)value + 1, size - 1) ||
            (expected && *(char *)value != expected)) {
            fprintf(stderr, "tokyo: record %.*s is damaged\n", length, (char *)key);
            return 1;
        }
        free(value);
        free(key);
        records++;
    }
    if (records != RECORDS) {
        fprintf(stderr, "tokyo: %lu records, not %d\n", records, RECORDS);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    int status = 2;

    if (argc < 3) {
        fprintf(stderr, "usage: tokyo create|load|check FILE [COUNT [SEED]]\n");
        return 2;
    }
    db = tchdbnew();
    /* HDBOTSYNC: each transaction is on the disk when it has been committed. */
    if (!tchdbopen(db, argv[2], HDBOWRITER | HDBOCREAT | HDBOTSYNC)) {
        return fail("open");
    }
    if (!strcmp(argv[1], "create") && argc == 4) {
        status = create(atoi(argv[3]));
    } else if (!strcmp(argv[1], "load") && argc == 5) {
        status = load(atoi(argv[3]), atoi(argv[4]));
    } else if (!strcmp(argv[1], "check") && argc == 5) {
        status = check(atoi(argv[3]), atoi(argv[4]));
    }
    if (!tchdbclose(db)) {
        return fail("close");
    }
    return status;
}
