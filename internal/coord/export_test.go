package coord

// SetHook has fn called before each step of the calls that use read marks.
func (c *InProcess) SetHook(fn func(reads, writes uint8, retry bool)) {
	c.marks.hook = func(reads, writes part, retry bool) { fn(uint8(reads), uint8(writes), retry) }
}

// Slots returns what the slots hold.
func (c *InProcess) Slots() (s [NumMarks]any) {
	s[0] = c.marks.inFile()
	for i := 1; i < NumMarks; i++ {
		s[i] = c.marks.log[i].v.Load()
	}
	return s
}
