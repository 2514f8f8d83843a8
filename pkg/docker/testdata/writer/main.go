// Command writer writes what a container of an integration test has to write.
//
//	writer lines N       N numbered lines, and ends
//	writer sizes N...    a line of each length, and ends
//	writer text TEXT...  each text as it is, and ends
//	writer sleep         nothing, until it is killed
package main

import (
	"bufio"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	switch os.Args[1] {
	case "lines":
		n, _ := strconv.Atoi(os.Args[2])
		for i := range n {
			fmt.Fprintf(out, "line %d\n", i)
		}
	case "sizes":
		for _, size := range os.Args[2:] {
			n, _ := strconv.Atoi(size)
			fmt.Fprintln(out, strings.Repeat("x", n))
		}
	case "text":
		for _, text := range os.Args[2:] {
			fmt.Fprint(out, text)
		}
	case "sleep":
		time.Sleep(time.Hour)
	}
}
