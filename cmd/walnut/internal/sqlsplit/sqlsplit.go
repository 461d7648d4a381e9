// Package sqlsplit cuts a stream of SQL into statements, each as soon as its
// semicolon has arrived. It sees what sqlite3_complete sees and no more:
// strings, quoted names, comments, and that a CREATE TRIGGER ends only at
// "; END ;". Whether a statement is right is for SQLite to say.
//
// The tokenizer goes byte by byte and keeps its state between writes, so that
// a statement that arrives in a thousand pieces is looked at once.
package sqlsplit

import (
	"bytes"
	"strings"
)

// Statement is one piece of the input.
type Statement struct {
	// Text as it was written, with its semicolon if it had one, without
	// the blanks and comments in front of it.
	Text string
	// Line on which Text begins, from 1.
	Line int
	// Dot: the piece is a line that begins with a dot: an instruction to the
	// shell, not SQL.
	Dot bool
}

// lexState is where in a token the tokenizer is.
type lexState uint8

const (
	lexBase         lexState = iota // between tokens
	lexWord                         // in a name, a keyword or a number
	lexDash                         // after one "-", which may begin a comment
	lexSlash                        // after one "/", likewise
	lexLineComment                  // after "--"
	lexBlockComment                 // after "/*"
	lexBlockStar                    // after "*" in a block comment
	lexQuote                        // in '…', "…", `…` or […]; quoteEnd ends it
	lexDot                          // in a line that begins with a dot
)

// stmtState is what the tokens so far may become: only what begins like CREATE
// TRIGGER does not end at the first semicolon.
type stmtState uint8

const (
	stmtStart       stmtState = iota // no token yet
	stmtNormal                       // ends at the next semicolon
	stmtExplain                      // EXPLAIN [QUERY PLAN] may stand before CREATE
	stmtCreate                       // CREATE [TEMP]
	stmtTrigger                      // in a trigger, in a statement of its body
	stmtTriggerSemi                  // in a trigger, after a semicolon
	stmtTriggerEnd                   // in a trigger, after "; END"
)

// token is a kind of token that makes a difference.
type token uint8

const (
	tokOther token = iota
	tokSemi
	tokExplain
	tokCreate
	tokTemp
	tokTrigger
	tokEnd
)

// mark is the byte-order mark that some editors put at the start of a file. It
// is no token.
const mark = "\ufeff"

// Splitter is ready to use as it is. It is not safe for concurrent use.
type Splitter struct {
	buf  []byte // input that no returned statement has taken
	pos  int    // buf[:pos] has been seen by the tokenizer
	text int    // the statement's first token begins here; -1: none yet
	word int    // the current word begins here

	line     int  // lines before pos
	textLine int  // line of text
	bol      bool // the byte at pos is the first of its line
	started  bool // something was written
	inside   bool // the place of a byte-order mark has been passed

	lex      lexState
	stmt     stmtState
	quoteEnd byte
}

// Write adds input. It never fails.
func (s *Splitter) Write(p []byte) (int, error) {
	if !s.started {
		s.started, s.bol, s.text, s.line = true, true, -1, 1
	}
	s.buf = append(s.buf, p...)
	return len(p), nil
}

// Next returns the next complete statement of the input so far.
func (s *Splitter) Next() (Statement, bool) {
	if !s.inside {
		switch {
		case bytes.HasPrefix(s.buf, []byte(mark)):
			s.pos = len(mark)
		case strings.HasPrefix(mark, string(s.buf)):
			return Statement{}, false // nothing, or a part of the mark
		}
		s.inside = true
	}
	for s.pos < len(s.buf) {
		c := s.buf[s.pos]
		if s.step(c) {
			return s.take(), true
		}
		s.bol = c == '\n'
		if c == '\n' {
			s.line++
		}
		s.pos++
	}
	s.shrink()
	return Statement{}, false
}

// Pending reports whether a statement has begun and is not complete.
func (s *Splitter) Pending() bool {
	return s.started && (s.text >= 0 || s.lex == lexBlockComment || s.lex == lexBlockStar)
}

// Rest returns what is left at the end of the input, if it is anything but
// blanks and comments: a statement without its semicolon, or one that SQLite
// will call incomplete.
func (s *Splitter) Rest() (Statement, bool) {
	if s.lex == lexDash || s.lex == lexSlash { // no comment comes of it any more
		s.beginAt(s.pos - 1)
	}
	if !s.started || s.text < 0 {
		return Statement{}, false
	}
	s.pos = len(s.buf) - 1 // take takes the byte at pos too
	return s.take(), true
}

// Discard forgets the statement that has begun, as Ctrl-C does at a prompt.
func (s *Splitter) Discard() { *s = Splitter{} }

// take cuts the statement that ends with the byte at pos off the buffer.
func (s *Splitter) take() Statement {
	st := Statement{Text: string(s.buf[s.text : s.pos+1]), Line: s.textLine, Dot: s.lex == lexDot}
	if st.Dot {
		st.Text = strings.TrimRight(st.Text, "\r\n")
	}
	s.bol = s.buf[s.pos] == '\n'
	if s.bol {
		s.line++
	}
	s.buf = s.buf[s.pos+1:]
	s.pos, s.text, s.lex, s.stmt = 0, -1, lexBase, stmtStart
	return st
}

// shrink drops blanks and comments before a statement has begun, and frees the
// statements already taken.
func (s *Splitter) shrink() {
	if s.text < 0 && (s.lex == lexBase || s.lex == lexLineComment || s.lex == lexBlockComment || s.lex == lexBlockStar) {
		s.buf, s.pos = s.buf[:0], 0
	}
}

// step looks at the byte at pos and reports whether it ends a statement.
func (s *Splitter) step(c byte) bool {
	switch s.lex {
	case lexLineComment:
		if c == '\n' {
			s.lex = lexBase
		}
	case lexBlockComment:
		if c == '*' {
			s.lex = lexBlockStar
		}
	case lexBlockStar:
		switch c {
		case '/':
			s.lex = lexBase
		case '*':
		default:
			s.lex = lexBlockComment
		}
	case lexQuote:
		if c == s.quoteEnd { // a doubled quote ends one and begins the next
			s.lex = lexBase
		}
	case lexDot:
		return c == '\n'
	default:
		return s.stepToken(c)
	}
	return false
}

// stepToken is step outside of comments and quotes.
func (s *Splitter) stepToken(c byte) bool {
	switch s.lex {
	case lexDash:
		s.lex = lexBase
		if c == '-' {
			s.lex = lexLineComment
			return false
		}
		s.token(tokOther, s.pos-1)
	case lexSlash:
		s.lex = lexBase
		if c == '*' {
			s.lex = lexBlockComment
			return false
		}
		s.token(tokOther, s.pos-1)
	case lexWord:
		if isWord(c) {
			return false
		}
		s.lex = lexBase
		s.token(keyword(s.buf[s.word:s.pos]), s.word)
	}
	return s.begin(c)
}

// begin starts the token whose first byte is c.
func (s *Splitter) begin(c byte) bool {
	switch {
	case c == ';':
		return s.token(tokSemi, s.pos)
	case c == ' ' || c == '\t' || c == '\n' || c == '\f' || c == '\r':
	case c == '-':
		s.lex = lexDash
	case c == '/':
		s.lex = lexSlash
	case c == '\'' || c == '"' || c == '`' || c == '[':
		s.lex, s.quoteEnd = lexQuote, c
		if c == '[' {
			s.quoteEnd = ']'
		}
		s.token(tokOther, s.pos)
	case c == '.' && s.bol && s.text < 0:
		s.lex = lexDot
		s.beginAt(s.pos)
	case isWord(c):
		s.lex, s.word = lexWord, s.pos
		s.beginAt(s.pos) // before its kind is known: the word may end the input
	default:
		s.token(tokOther, s.pos)
	}
	return false
}

// beginAt notes where the statement's first token begins.
func (s *Splitter) beginAt(at int) {
	if s.text < 0 {
		s.text, s.textLine = at, s.line
	}
}

// token moves the statement's state on and reports whether the token, a
// semicolon then, ends it. A semicolon alone is no statement.
func (s *Splitter) token(t token, at int) bool {
	if t == tokSemi && s.stmt == stmtStart {
		return false
	}
	s.beginAt(at)
	if t == tokSemi {
		switch s.stmt {
		case stmtTrigger, stmtTriggerSemi:
			s.stmt = stmtTriggerSemi
			return false
		}
		return true
	}
	s.stmt = s.stmt.next(t)
	return false
}

// next is the state after a token that is no semicolon.
func (st stmtState) next(t token) stmtState {
	switch st {
	case stmtStart, stmtExplain:
		switch {
		case t == tokCreate:
			return stmtCreate
		case t == tokExplain && st == stmtStart, t == tokOther && st == stmtExplain:
			return stmtExplain
		}
		return stmtNormal
	case stmtCreate:
		switch t {
		case tokTemp:
			return stmtCreate
		case tokTrigger:
			return stmtTrigger
		}
		return stmtNormal
	case stmtTriggerSemi:
		if t == tokEnd {
			return stmtTriggerEnd
		}
		return stmtTrigger
	case stmtTriggerEnd:
		return stmtTrigger
	}
	return st
}

func keyword(w []byte) token {
	if len(w) > len("TEMPORARY") {
		return tokOther
	}
	switch strings.ToUpper(string(w)) {
	case "EXPLAIN":
		return tokExplain
	case "CREATE":
		return tokCreate
	case "TEMP", "TEMPORARY":
		return tokTemp
	case "TRIGGER":
		return tokTrigger
	case "END":
		return tokEnd
	}
	return tokOther
}

// isWord reports whether c belongs to a name; what is not ASCII does.
func isWord(c byte) bool {
	return c >= 0x80 || c == '_' || c == '$' ||
		'0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}
