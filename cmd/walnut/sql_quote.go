package main

// This file gives the shell the quote() of the SQLite that is installed
// everywhere. SQLite 3.53 changed how quote() writes a real that needs more
// than 15 digits (17 instead of 21); both read back as the same number, but a
// dump made by one does not compare equal to a dump made by the other. Dumps
// are what quote() in a shell is for, so it stays as it was.

import (
	"encoding/hex"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
)

// registerQuote replaces quote() on a connection.
func registerQuote(c *sqlite3.Conn) error {
	return c.CreateFunction("quote", 1, sqlite3.DETERMINISTIC|sqlite3.INNOCUOUS,
		func(ctx sqlite3.Context, arg ...sqlite3.Value) { ctx.ResultText(quoteValue(arg[0])) })
}

// quoteValue is the SQL literal of a value.
func quoteValue(v sqlite3.Value) string {
	switch v.Type() {
	case sqlite3.INTEGER:
		return strconv.FormatInt(v.Int64(), 10)
	case sqlite3.FLOAT:
		return quoteReal(v.Float())
	case sqlite3.TEXT:
		text, _, _ := strings.Cut(v.Text(), "\x00")
		return "'" + strings.ReplaceAll(text, "'", "''") + "'"
	case sqlite3.BLOB:
		return "X'" + strings.ToUpper(hex.EncodeToString(v.RawBlob())) + "'"
	}
	return "NULL"
}

// quoteReal writes a real with 15 digits if they suffice to read it back, else
// in exponential form with 21, of which those beyond the 17th come out of
// arithmetic with a 64-bit mantissa, as in a C "long double" on x86.
func quoteReal(x float64) string {
	if math.IsInf(x, 0) {
		return strings.TrimPrefix(strconv.FormatFloat(x, 'g', -1, 64), "+")
	}
	short := strconv.FormatFloat(x, 'g', 15, 64)
	if back, err := strconv.ParseFloat(short, 64); err == nil && back == x {
		return shortReal(x)
	}
	digits, exp := longDigits(math.Abs(x), 21)
	s := digits[:1] + "." + strings.TrimRight(digits[1:], "0")
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	if x < 0 {
		s = "-" + s
	}
	return s + exponent(exp)
}

// shortReal is printf's "%!.15g".
func shortReal(x float64) string {
	if x == 0 {
		return "0.0"
	}
	mant, e, _ := strings.Cut(strconv.FormatFloat(x, 'e', 14, 64), "e")
	exp, _ := strconv.Atoi(e)
	if exp < -4 || exp > 14 {
		mant = strings.TrimRight(mant, "0")
		if strings.HasSuffix(mant, ".") {
			mant += "0"
		}
		return mant + exponent(exp)
	}
	s := strings.TrimRight(strconv.FormatFloat(x, 'f', 14-exp, 64), "0")
	if !strings.Contains(s, ".") {
		return strconv.FormatFloat(x, 'f', 0, 64) + ".0"
	}
	if strings.HasSuffix(s, ".") {
		s += "0"
	}
	return s
}

// exponent is written with a sign and at least two digits.
func exponent(exp int) string {
	sign := "+"
	if exp < 0 {
		sign, exp = "-", -exp
	}
	if exp < 10 {
		sign += "0"
	}
	return "e" + sign + strconv.Itoa(exp)
}

// long is a number with the 64-bit mantissa of an x86 long double.
func long(x float64) *big.Float { return new(big.Float).SetPrec(64).SetFloat64(x) }

// longDigits returns the first n decimal digits of x > 0 and its exponent, with
// the rounding errors of the scaling by powers of ten.
func longDigits(x float64, n int) (string, int) {
	v, scale, exp := long(x), long(1), 0
	for _, step := range []struct {
		by  float64
		exp int
	}{{1e100, 100}, {1e10, 10}, {10, 1}} {
		for exp <= 350 && v.Cmp(new(big.Float).SetPrec(64).Mul(long(step.by), scale)) >= 0 {
			scale.Mul(scale, long(step.by))
			exp += step.exp
		}
	}
	v.Quo(v, scale)
	for v.Cmp(long(1e-8)) < 0 {
		v.Mul(v, long(1e8))
		exp -= 8
	}
	for v.Cmp(long(1)) < 0 {
		v.Mul(v, long(10))
		exp--
	}
	digits := make([]byte, n)
	for i := range digits {
		d, _ := v.Int64()
		digits[i] = '0' + byte(d)
		v.Sub(v, long(float64(d)))
		v.Mul(v, long(10))
	}
	return string(digits), exp
}
