//! The parser's errors about words, names, attributes, headers and sections that do not fit.

use super::errors;

#[test]
fn words_that_begin_no_line_are_refused_with_place_and_reason() {
    let said = errors(&[
        "fire a\n",
        "before\n  fier a\n",
        "befor\n",
        "before\n  7\n",
        "callback a\n  \u{0}\n",
        "before\n  exclusive a\n",
        "before\n  counting\n",
        "callback a\nbefore\n  = late\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `fire`
1 | fire a
  | ^
  = an op belongs in a callback's body or in a section

line 2, column 3: expected an op, `thread` or `after`, found `fier`
2 |   fier a
  |   ^
  = did you mean `fire`?

line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `befor`
1 | befor
  | ^
  = did you mean `before`?

line 2, column 3: expected an op, `thread` or `after`, found `7`
2 |   7
  |   ^

line 2, column 3: expected an op, `callback`, `before`, `thread` or `after`, found `\0`
2 |   �
  |   ^

line 2, column 3: expected an op, `thread` or `after`, found `exclusive`
2 |   exclusive a
  |   ^
  = `exclusive` is an attribute: `callback NAME exclusive`

line 2, column 3: expected an op, `thread` or `after`, found `counting`
2 |   counting
  |   ^
  = `counting` says what a callback returns: `callback NAME counting`

line 3, column 3: expected an op, `thread` or `after`, found `=`
3 |   = late
  |   ^
"#);
}

#[test]
fn names_that_are_none_are_refused_with_place_and_reason() {
    let said = errors(&[
        "callback\n",
        "callback A\n",
        "callback a-b\n",
        "callback a\ncallback b\ncallback a\n",
        "callback tick\nbefore\n  fire tock\n",
        "callback tick\nbefore\n  fire tcik\n",
        "before\n  fire\n",
        "before\n  fire 7\n",
        "before\n  hold 7\n",
        "before\n  hold\n",
        "subject UPPER\n",
        "subject\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 9: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
1 | callback
  |         ^

line 1, column 10: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `A`
1 | callback A
  |          ^

line 1, column 10: expected a name for the callback (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `a-b`
1 | callback a-b
  |          ^

line 3, column 10: expected a name that no other callback has, found `a`
3 | callback a
  |          ^
  = line 1 declares `a` already

line 3, column 8: expected a declared callback's name, found `tock`
3 |   fire tock
  |        ^
  = did you mean `tick`?

line 3, column 8: expected a declared callback's name, found `tcik`
3 |   fire tcik
  |        ^
  = did you mean `tick`?

line 2, column 7: expected a callback's name, found the end of the line
2 |   fire
  |       ^

line 2, column 8: expected a callback's name, found `7`
2 |   fire 7
  |        ^

line 2, column 8: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found `7`
2 |   hold 7
  |        ^

line 2, column 7: expected a gate's name (`a` to `z`, then `a` to `z`, `0` to `9` and `_`), found the end of the line
2 |   hold
  |       ^

line 1, column 9: expected a subject's name (`a` to `z`, `0` to `9`, `_/.-`), found `UPPER`
1 | subject UPPER
  |         ^

line 1, column 8: expected a subject's name (`a` to `z`, `0` to `9`, `_/.-`), found the end of the line
1 | subject
  |        ^
"#);
}

#[test]
fn unknown_and_repeated_attributes_are_refused_with_place_and_reason() {
    let said = errors(&["callback a exclusiv\n", "callback a sum counting\n", "callback a confined confined\n"]);
    insta::assert_snapshot!(said, @r#"
line 1, column 12: expected `sum`, `counting`, `exclusive` or `confined`, found `exclusiv`
1 | callback a exclusiv
  |            ^
  = did you mean `exclusive`?

line 1, column 16: expected at most one of `sum` and `counting`, and each attribute only once, found `counting`
1 | callback a sum counting
  |                ^

line 1, column 21: expected at most one of `sum` and `counting`, and each attribute only once, found `confined`
1 | callback a confined confined
  |                     ^
"#);
}

#[test]
fn bad_headers_are_refused_with_place_and_reason() {
    let said = errors(&[
        "hostile lat\n",
        "hostile\n",
        "hostile late\nhostile late\n",
        "subject a\nsubject b\n",
        "capacity 0\n",
        "fail_allocation 0\n",
        "fail_allocation -1\n",
        "capacity 4294967296\n",
        "capacity 1 2\n",
        "before\nhostile late\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 1, column 9: expected a hostile switch: `late`, `twice`, `concurrent`, `notify_early`, `notify_twice`, `notify_never`, `notify_before_drain`, `fire_on_close`, `fire_tls_destructor`, `fire_atexit` or `wrong_user_data`, found `lat`
1 | hostile lat
  |         ^
  = did you mean `late`?

line 1, column 8: expected a hostile switch: `late`, `twice`, `concurrent`, `notify_early`, `notify_twice`, `notify_never`, `notify_before_drain`, `fire_on_close`, `fire_tls_destructor`, `fire_atexit` or `wrong_user_data`, found the end of the line
1 | hostile
  |        ^

line 2, column 9: expected each switch only once, found `late`
2 | hostile late
  |         ^
  = an earlier line switches `late` on already

line 2, column 1: expected `subject` only once, found `subject`
2 | subject b
  | ^
  = line 1 has `subject` already

line 1, column 10: expected a number of subscriptions from 1 to 4294967295, found `0`
1 | capacity 0
  |          ^

line 1, column 17: expected an allocation's number from 1 to 4294967295, found `0`
1 | fail_allocation 0
  |                 ^

line 1, column 17: expected an allocation's number from 1 to 4294967295, found `-1`
1 | fail_allocation -1
  |                 ^

line 1, column 10: expected a number of subscriptions from 1 to 4294967295, found `4294967296`
1 | capacity 4294967296
  |          ^

line 1, column 12: expected the end of the line, found `2`
1 | capacity 1 2
  |            ^

line 2, column 1: expected an op, `thread` or `after`, found `hostile`
2 | hostile late
  | ^
  = `hostile` belongs at the top, before the first callback or section
"#);
}

#[test]
fn sections_out_of_order_are_refused_with_place_and_reason() {
    let said = errors(&[
        "before\nbefore\n",
        "after\nbefore\n",
        "after\nthread\n",
        "thread\ncallback a\n",
        "after\nafter\n",
        "thread 1\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 2, column 1: expected `before` only once, found `before`
2 | before
  | ^
  = line 1 has `before` already

line 2, column 1: expected an op, found `before`
2 | before
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected an op, found `thread`
2 | thread
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected an op, `thread` or `after`, found `callback`
2 | callback a
  | ^
  = the order is: header, `callback`s, `before`, `thread`s, `after`

line 2, column 1: expected `after` only once, found `after`
2 | after
  | ^
  = line 1 has `after` already

line 1, column 8: expected the end of the line, found `1`
1 | thread 1
  |        ^
"#);
}

#[test]
fn what_cannot_be_seen_is_refused_with_place_and_reason() {
    let said = errors(&[
        "callback a\nbefore\n  fire\u{a0}a\n",
        "before\r  fire a\n",
        "callback a\nbefore\n\tfire b # é\n",
        "# ééé\nbefore\n  héhé\n",
    ]);
    insta::assert_snapshot!(said, @r#"
line 3, column 3: expected an op, `thread` or `after`, found `fire\u{a0}a`
3 |   fire a
  |   ^
  = did you mean `fire`?

line 1, column 1: expected `subject`, `hostile`, `fail_allocation`, `capacity`, `callback`, `before`, `thread` or `after`, found `before\r`
1 | before�  fire a
  | ^
  = did you mean `before`?

line 3, column 7: expected a declared callback's name, found `b`
3 |  fire b # é
  |       ^
  = no line says `callback b`

line 3, column 3: expected an op, `thread` or `after`, found `héhé`
3 |   héhé
  |   ^
"#);
}
